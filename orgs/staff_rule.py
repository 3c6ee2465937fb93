"""The one rule of support's host: who works there holds a staff grant that is live now."""

from django.utils import timezone

from envforge import tenancy
from envforge.actor import UserActor
from envforge.errors import Denial, NotAllowed
from envforge.surfaces import ADMIN
from orgs.models import StaffGrant

RULE = "staff-grant"


def live_grant(*, actor: UserActor) -> StaffGrant | None:
    """The grant by which the actor is staff now."""
    live = StaffGrant.objects.filter(person_id=actor.person_id, ended_at=None, expires_at__gt=timezone.now())
    return live.first()


def require_staff(*, actor: UserActor) -> StaffGrant:
    """The actor's live grant.

    Raises:
        NotAllowed: there is none; rule `staff-grant`.
    """
    grant = live_grant(actor=actor)
    if grant is None:
        denial = Denial(tenancy.PLATFORM, actor, "support.work", ADMIN.as_target(), RULE)
        raise NotAllowed(
            denial,
            "This is where EnvForge's support staff work, and you hold no staff grant, or none any more. "
            "An operator of EnvForge can give you one.",
        )
    return grant
