"""Whatever a lost nudge left: costs as much as is due, whatever exists."""

import time
from collections.abc import Callable
from uuid import UUID

import structlog
from django.utils import timezone

from workspaces import lookups, news
from workspaces.reconcile import commands, removal, runtimes, shells

SWEEP_S = 20
MOST_DUE = 500

log = structlog.get_logger(__name__)


def sweep() -> int:
    """Take every step that is due, as far as the time allows; answers how many."""
    ends_at = time.monotonic() + SWEEP_S
    taken = 0
    for due, step in _KINDS:
        for org_id, row_id in due(timezone.now(), MOST_DUE):
            if time.monotonic() > ends_at:
                return taken
            try:
                taken += step(org_id, row_id)
            except Exception:
                # One row that cannot be followed up must not keep the others; it stays due.
                log.exception("workspaces.step_failed", row=str(row_id))
    return taken


_KINDS: tuple[tuple[Callable[..., list[tuple[UUID, UUID]]], Callable[[UUID, UUID], int]], ...] = (
    (lookups.host_news, news.follow),
    (lookups.shells_due, shells.reconcile),
    (lookups.runtimes_due, runtimes.reconcile),
    (lookups.workspaces_due, removal.reconcile),
    (lookups.runs_due, commands.reconcile),
)
