"""Support in an organization: entered for a reason and a ticket, for a time, to look and not to touch (N3).

Every visit stands in the organization's own timeline, in the same transaction as its row.
"""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone

from audit.append import append
from audit.facts import name_text
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM, SupportActor, UserActor
from envforge.errors import Conflict, Invalid, NotVisible
from orgs.lookups import (
    organization_by_slug,
    organizations_support_is_in,
    organizations_with_overdue_visits,
)
from orgs.models import Organization, SupportVisit
from orgs.staff_rule import require_staff

LONGEST_REASON, LONGEST_TICKET = 200, 60
ONE_LINE = "Use one line of 1 to {longest} characters, without a password or token in it."
UNKNOWN = "There is no organization with this id or short name. Ask the customer for it, to the letter."


def enter_organization(*, actor: UserActor, wanted: str, reason: str, ticket: str) -> SupportVisit:
    """Enter the organization with this id or short name, for `SUPPORT_VISIT_S` and no longer than the staff grant.

    Entering again the one that one is in changes and records nothing.

    Raises:
        NotAllowed: the actor is not staff.
        Invalid: no such organization, or a reason or ticket that cannot stand in its timeline.
        Conflict: the actor is in another organization; they leave that one first.
    """
    grant = require_staff(actor=actor)
    end_visits_of(person_id=actor.person_id, cause="expired", overdue_only=True)
    reason, ticket = " ".join(reason.split()), " ".join(ticket.split())
    org_id = _organization_id(wanted.strip())
    wrong = {} if org_id else {"organization": UNKNOWN}
    if not _fits(reason, LONGEST_REASON):
        wrong["reason"] = ONE_LINE.format(longest=LONGEST_REASON)
    if not _fits(ticket, LONGEST_TICKET):
        wrong["ticket"] = ONE_LINE.format(longest=LONGEST_TICKET)
    if wrong or org_id is None:
        raise Invalid("The organization's people will read why you came.", wrong)
    elsewhere = Conflict("You are in another organization. Leave that one first.")
    if any(other != org_id for other in organizations_support_is_in(actor.person_id)):
        raise elsewhere
    now = timezone.now()
    try:
        with tenancy.enter(org_id):
            organization = Organization.objects.filter(id=org_id).first()
            if organization is None:
                raise Invalid("The organization's people will read why you came.", {"organization": UNKNOWN})
            visit = _open_visits().filter(person_id=actor.person_id).first()
            if visit is None:
                visit = SupportVisit.objects.create(
                    person_id=actor.person_id,
                    reason=reason,
                    ticket=ticket,
                    entered_at=now,
                    until=min(now + timedelta(seconds=settings.SUPPORT_VISIT_S), grant.expires_at),
                )
                append(
                    EventKind.SUPPORT_ENTERED,
                    actor=visit.as_actor(),
                    target=organization,
                    reason=reason,
                    ticket=ticket,
                    until=visit.until,
                )
            return visit
    except IntegrityError as error:
        if "orgs_support_visit_once" not in str(error):
            raise
        raise elsewhere from None


def leave_organization(*, actor: UserActor, org_id: UUID) -> None:
    """End one's visit before its time.

    Raises:
        NotVisible: the actor is not in this organization.
    """
    with tenancy.enter(org_id):
        visit = _open_visits().filter(person_id=actor.person_id, until__gt=timezone.now()).first()
        organization = Organization.objects.filter(id=org_id).first()
        if visit is None or organization is None:
            raise NotVisible
        _close(visit)
        append(EventKind.SUPPORT_LEFT, actor=visit.as_actor(), target=organization)


def current_visit(*, actor: UserActor, org_id: UUID | None = None) -> SupportVisit | None:
    """The visit the actor is on: to this organization, or wherever it is."""
    for entered in organizations_support_is_in(actor.person_id):
        if org_id not in {None, entered}:
            continue
        with tenancy.enter(entered):
            visits = SupportVisit.objects.select_related("person").filter(person_id=actor.person_id)
            visit = visits.filter(left_at=None, until__gt=timezone.now()).first()
            if visit is not None:
                return visit
    return None


def support_actor(*, actor: UserActor, org_id: UUID) -> SupportActor:
    """The actor as support in this organization.

    Raises:
        NotAllowed: the actor is not staff.
        NotVisible: they are not on a visit to it.
    """
    require_staff(actor=actor)
    visit = current_visit(actor=actor, org_id=org_id)
    if visit is None:
        raise NotVisible
    return visit.as_actor()


def end_visits_of(*, person_id: UUID, cause: str, overdue_only: bool = False) -> None:
    """End the person's visit, wherever it is."""
    for org_id in organizations_support_is_in(person_id):
        with tenancy.enter(org_id):
            visits = _open_visits().filter(person_id=person_id)
            for visit in visits.filter(until__lte=timezone.now()) if overdue_only else visits:
                _end(visit, cause)


def end_overdue_visits() -> int:
    """A sweep: record the end of visits that time has ended (they stopped working by themselves)."""
    ended = 0
    for org_id in organizations_with_overdue_visits():
        with tenancy.enter(org_id):
            for visit in _open_visits().filter(until__lte=timezone.now()):
                _end(visit, "expired")
                ended += 1
    return ended


def _end(visit: SupportVisit, cause: str) -> None:
    _close(visit)
    append(EventKind.SUPPORT_ENDED, actor=SYSTEM, target=visit.person, cause=cause)


def _close(visit: SupportVisit) -> None:
    visit.left_at = min(timezone.now(), visit.until)
    visit.save(update_fields=["left_at"])


def _open_visits() -> "QuerySet[SupportVisit]":
    return SupportVisit.objects.select_for_update(of=("self",)).select_related("person").filter(left_at=None)


def _organization_id(wanted: str) -> UUID | None:
    try:
        return UUID(wanted)
    except ValueError:
        return organization_by_slug(wanted)


def _fits(text: str, longest: int) -> bool:
    try:
        return len(name_text(text)) <= longest
    except ValueError:
        return False
