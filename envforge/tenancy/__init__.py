"""The walls between organizations (DESIGN 3, THREATS N1).

`enter(org_id)` is the only way to a tenant's rows: it opens a transaction and names the organization to PostgreSQL,
whose row level security shows and accepts that organization's rows alone. Outside of it every tenant table looks
empty and refuses inserts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from django.db import connection, transaction

from envforge.errors import TenancyError

# The chain and tenancy of EnvForge's own and its staff's events; no organization can have this id (version 8, made by hand).
PLATFORM = UUID("00000000-0000-8000-8000-656e76666f72")

_entered: ContextVar[UUID | None] = ContextVar("envforge_org", default=None)


@contextmanager
def enter(org_id: UUID) -> Iterator[None]:
    """Open a transaction in which the organization's rows, and no others, can be read and written.

    Entering the same organization again inside is free and joins the transaction.

    Raises:
        TenancyError: another organization is entered already; leave it first.
    """
    inside = _entered.get()
    if inside == org_id:
        with transaction.atomic(savepoint=False):
            yield
        return
    if inside is not None:
        raise TenancyError(f"Organization {inside} is entered; {org_id} cannot be entered inside it.")
    nested = connection.in_atomic_block
    with transaction.atomic():
        _tell_postgresql(str(org_id))
        token = _entered.set(org_id)
        try:
            yield
        finally:
            _entered.reset(token)
        if nested:
            # The setting outlives a released savepoint; a rolled-back one restores it by itself.
            _tell_postgresql("")


def current_org() -> UUID:
    """The organization entered now.

    Raises:
        TenancyError: none is.
    """
    org_id = _entered.get()
    if org_id is None:
        raise TenancyError("No organization is entered: wrap this in `with tenancy.enter(org_id):`.")
    return org_id


def _tell_postgresql(value: str) -> None:
    with connection.cursor() as cursor:
        # Local to the transaction: a session-wide setting would leak through the pool to the next user.
        cursor.execute("SELECT set_config('envforge.org_id', %s, true)", [value])
