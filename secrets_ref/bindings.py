"""What names a secret: the app above that owns bindings tells it, from its `AppConfig.ready`."""

from collections.abc import Callable, Collection
from uuid import UUID

# Asked with the organization entered. For each of these secrets, what names it, in words ("Checkout: DATABASE_URL of
# web"); those nothing names may be missing.
BindingSource = Callable[[Collection[UUID]], dict[UUID, list[str]]]

_sources: list[BindingSource] = []


def tell_bindings(source: BindingSource) -> None:
    """Register what knows which inputs are bound to a secret."""
    _sources[:] = [source]


def bindings(ids: Collection[UUID]) -> dict[UUID, list[str]]:
    """What names each of these secrets."""
    return _sources[0](ids) if _sources and ids else {}
