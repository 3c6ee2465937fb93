"""Who is support staff: grants with an end, checked at every request and told to the platform's chain."""

from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit.append import append_platform
from audit.kinds import EventKind
from envforge.actor import SYSTEM, Actor
from envforge.errors import Invalid
from orgs import visits
from orgs.models import Person, StaffGrant

LONGEST_DAYS = 366
SWEEP_SIZE = 100


def grant_staff(*, actor: Actor, person: Person, days: int) -> StaffGrant:
    """Make the person support staff for some days from now; a grant they had is ended by the new one.

    Raises:
        Invalid: not 1 to `LONGEST_DAYS` days.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise Invalid(
            "A staff grant has an end.", {"days": f"Use a whole number of days from 1 to {LONGEST_DAYS}."}
        )
    now = timezone.now()
    with transaction.atomic():
        live = _open_grants().filter(person=person).first()
        if live is not None:
            _end(live, "replaced")
        grant = StaffGrant.objects.create(
            person=person, granted_by=actor.label, granted_at=now, expires_at=now + timedelta(days=days)
        )
        append_platform(EventKind.STAFF_GRANTED, actor=actor, target=person, expires_at=grant.expires_at)
    return grant


def revoke_staff(*, actor: Actor, person: Person) -> bool:
    """End the person's staff grant and their visit; False if they had no live grant."""
    with transaction.atomic():
        live = _open_grants().filter(person=person, expires_at__gt=timezone.now()).first()
        if live is None:
            return False
        _end(live, "revoked")
        append_platform(EventKind.STAFF_REVOKED, actor=actor, target=person)
    visits.end_visits_of(person_id=person.id, cause="staff_grant_revoked")
    return True


def end_overdue_grants() -> int:
    """A sweep: record the end of grants that time has ended (they stopped working by themselves)."""
    with transaction.atomic():
        due = _open_grants().filter(expires_at__lte=timezone.now())[:SWEEP_SIZE]
        ended = [_end(grant, "expired") for grant in due]
        for grant in ended:
            append_platform(EventKind.STAFF_EXPIRED, actor=SYSTEM, target=grant.person)
    return len(ended)


def _open_grants() -> "QuerySet[StaffGrant]":
    locked = StaffGrant.objects.select_for_update(of=("self",)).select_related("person")
    return locked.filter(ended_at=None)


def _end(grant: StaffGrant, cause: str) -> StaffGrant:
    grant.ended_at, grant.cause = timezone.now(), cause
    grant.save(update_fields=["ended_at", "cause"])
    return grant
