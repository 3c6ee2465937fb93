"""What the passing of time does to invitations and tokens: their expiry events, on time (A2)."""

from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM
from orgs.lookups import organizations_with_overdue
from orgs.models import Invitation, Token

MOST = 200


def close_overdue() -> int:
    """Close what expired, in up to `MOST` organizations; answers how many things that was. Safe to run twice at once."""
    return sum(_close_in(org_id) for org_id in organizations_with_overdue(timezone.now(), MOST))


def _close_in(org_id: UUID) -> int:
    now = timezone.now()
    with tenancy.enter(org_id):
        invitations = Invitation.objects.select_for_update(skip_locked=True).filter(
            accepted_at=None, ended_at=None, expires_at__lte=now
        )
        tokens = Token.objects.select_for_update(skip_locked=True).filter(ended_at=None, expires_at__lte=now)
        closed = 0
        for kind, rows in (
            (EventKind.MEMBER_INVITATION_EXPIRED, invitations),
            (EventKind.TOKEN_EXPIRED, tokens),
        ):
            for row in rows:
                row.ended_at = row.expires_at
                row.save(update_fields=["ended_at"])
                append(kind, actor=SYSTEM, target=row)
                closed += 1
        return closed
