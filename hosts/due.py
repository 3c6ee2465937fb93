"""The step that is due for a place of a workspace (`hosts.models.Place`): the same for files and volumes.

The row is leased by putting `due_at` off, the vendor is asked outside of any transaction, and what came of it is recorded
on the condition that nothing else is wanted meanwhile. Where something is, or whoever leased it died, the next step finds by tag
or token what was made. Safe to run twice, at any time, in two workers.
"""

import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

import structlog
from django.db.models import Manager
from django.utils import timezone

from envforge import tenancy
from hosts.models import Place
from hosts.vendor import VendorError

LEASE = timedelta(seconds=90)
FIRST_BACKOFF = timedelta(seconds=4)
LONGEST_BACKOFF = timedelta(minutes=5)

AnyPlace = TypeVar("AnyPlace", bound=Place)

log = structlog.get_logger(__name__)


def backoff(attempts: int) -> timedelta:
    """Full of jitter, so that many that were refused together do not come back together."""
    longest = min(FIRST_BACKOFF * (1 << min(attempts, 10)), LONGEST_BACKOFF)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def settle(
    rows: "Manager[AnyPlace]",
    org_id: UUID,
    row_id: UUID,
    bring_about: Callable[[AnyPlace], Mapping[str, Any]],
) -> bool:
    """Take the step that is due for a row; answers whether one was.

    Args:
        bring_about: asks the vendor, in no transaction; answers the columns to set, `due_at` among them where more is to do.
    """
    with tenancy.enter(org_id):
        row = rows.select_for_update(skip_locked=True).filter(id=row_id).first()
        now = timezone.now()
        if row is None or row.due_at is None or row.due_at > now:
            return False
        row.due_at = now + LEASE
        row.save(update_fields=["due_at"])
    changes: Mapping[str, Any] = {}
    failed: VendorError | None = None
    try:
        changes = bring_about(row)
    except VendorError as error:
        failed = error
        log.warning(
            "place.put_off",
            place=str(row_id),
            kind=type(row).__name__,
            trouble=error.trouble,
            code=error.code,
        )
    with tenancy.enter(org_id):
        current = rows.select_for_update().get(id=row_id)
        # Where something else is wanted meanwhile, it is due already.
        if current.version != row.version:
            return True
        if failed is not None:
            current.attempts += 1
            current.trouble = failed.trouble
            current.due_at = timezone.now() + backoff(current.attempts)
        else:
            current.attempts, current.trouble, current.due_at = 0, "", None
            for name, value in changes.items():
                setattr(current, name, value)
        current.version += 1
        current.save()
    return True


def make_due(row: Place) -> None:
    """Let a reconciler look at a locked row now: something else is wanted of it, or was seen."""
    row.due_at = timezone.now()
    row.version += 1
    row.save(update_fields=["due_at", "version"])
