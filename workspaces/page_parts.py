"""What apps above, and other rooms of this one, put on a workspace's page; registered in `AppConfig.ready`.

Each part reads for itself, with the actor of the page: a part that the actor may not see answers None and is left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from envforge.actor import Actor
from workspaces.models import Workspace

# Of the page's two columns: what one works with, and what one looks up.
Column = Literal["main", "side"]
# Called in the entered organization, for a workspace that the actor may see.
Load = Callable[[Actor, Workspace], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the page: its template gets what `load` answers as `part`, and what the page itself knows."""

    name: str
    column: Column
    order: int
    template: str
    load: Load


@dataclass(frozen=True, slots=True)
class LoadedPart:
    """A part with its content."""

    name: str
    column: Column
    template: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LinksNow:
    """The fourth state of a workspace: how many dev links are open, and of them in use (W4)."""

    open: int = 0
    used: int = 0


_parts: dict[str, Part] = {}
_links: list[Callable[[Workspace], LinksNow]] = []


def offer_part(part: Part) -> None:
    """Register a part of the page."""
    if _parts.setdefault(part.name, part) != part:
        raise ValueError(f"The workspace page has a part {part.name} already.")


def tell_links(source: Callable[[Workspace], LinksNow]) -> None:
    """Register what knows of a workspace's dev links."""
    _links[:] = [source]


def links_now(workspace: Workspace) -> LinksNow:
    """The dev links of a workspace; none where no app knows of any."""
    return _links[0](workspace) if _links else LinksNow()


def loaded(actor: Actor, workspace: Workspace) -> list[LoadedPart]:
    """Every part that the actor may see, in order."""
    found = []
    for part in sorted(_parts.values(), key=lambda one: (one.order, one.name)):
        content = part.load(actor, workspace)
        if content is not None:
            found.append(LoadedPart(part.name, part.column, part.template, content))
    return found
