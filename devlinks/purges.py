"""What gateways must forget, numbered in the order of commits (THREATS G1).

`purge` stores a row; PostgreSQL numbers it as the last thing its transaction does, under a lock that is held until the commit is
done (migration 0002_walls). So that a number that somebody has read has all lower ones before it, and two transactions that
overlap are numbered as they commit, whichever wrote first. Every stream of every web process is notified by that commit.
"""

from typing import Literal
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from devlinks.models import Gateway, Purge
from envforge import tenancy
from envforge.errors import TenancyError

CHANNEL = "envforge_purges"
Kind = Literal["link", "session", "workspace", "organization", "person", "route", "everything"]


def purge(
    kind: Kind,
    key_id: UUID | None,
    *,
    reason: str,
    cut: bool = True,
    epoch: int | None = None,
    org_id: UUID | None = None,
) -> UUID:
    """Let every gateway forget what it decided under this key; with `cut`, end what is open under it too.

    Call it in the transaction that changes what such decisions rest on. Answers the purge's id; its revision is known after
    the commit.

    Args:
        epoch: of a workspace's routes: the last one that is forgotten.
        org_id: whose it is; without one, the entered organization's.

    Raises:
        TenancyError: outside of a transaction.
    """
    if not connection.in_atomic_block:
        raise TenancyError("A purge outside of a transaction: it commits with the change that causes it.")
    organization_id = None if kind == "everything" else org_id or tenancy.current_org()
    row = Purge.objects.create(
        kind=kind,
        key_id=key_id,
        epoch=epoch,
        reason=reason,
        cut=cut,
        organization_id=organization_id,
        at=timezone.now(),
    )
    return row.id


def revision_now() -> int:
    """The revision up to which everything has committed, read by a statement of its own."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM devlinks_revision")
        value: int = cursor.fetchone()[0]
    return value


def routes_are_gone(workspace_id: UUID, epoch: int) -> bool:
    """Whether no gateway leads to this epoch of a workspace any more: each that could has said so, or its lease has lapsed (THREATS G2)."""
    last = (
        Purge.objects.filter(kind="route", key_id=workspace_id, epoch__gte=epoch, cut=True)
        .order_by("-revision")
        .values_list("revision", flat=True)
        .first()
    )
    # Not there, or numbered by a commit that is still to come.
    return last is not None and not behind(last).exists()


def behind(revision: int) -> "QuerySet[Gateway]":
    """The gateways that may still do what was forbidden at this revision."""
    return at_work().filter(acknowledged__lt=revision)


def at_work() -> "QuerySet[Gateway]":
    """The gateways that may lead somebody somewhere now."""
    return Gateway.objects.filter(left_at=None, leased_until__gt=timezone.now())
