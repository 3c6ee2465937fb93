"""Every read of support's: counts and times from outside, and an organization's own pages from inside a visit.

What is seen inside stands in the organization's timeline, once per visit and page (A3).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from audit.append import append
from audit.filters import Filter
from audit.kinds import EventKind
from audit.models import ChainHead
from audit.selectors import ChainStatus, Page, chain_status, page
from envforge import tenancy
from envforge.actor import SupportActor, UserActor
from envforge.errors import NotVisible
from envforge.windows import Window
from orgs import policy
from orgs.models import ConsoleSession, Membership, Organization, StaffGrant, SupportVisit
from orgs.policy import Action
from orgs.selectors.listed import MemberView, members_at, page_of_members
from orgs.staff_rule import require_staff

# The role to which PostgreSQL grants no name, address, free text or digest (N3).
OUTSIDE = "support"


@dataclass(frozen=True, slots=True)
class Figures:
    """What there is, in counts."""

    organizations: int
    visits: int
    staff: int
    chains_unsigned: int
    platform: ChainStatus


@dataclass(frozen=True, slots=True)
class Inside:
    """An organization as support sees it on a visit."""

    organization: Organization
    members: int
    sessions: int
    chain: ChainStatus


def figures(*, actor: UserActor) -> Figures:
    """EnvForge at a glance.

    Raises:
        NotAllowed: the actor is not staff.
    """
    require_staff(actor=actor)
    now = timezone.now()
    with tenancy.enter(tenancy.PLATFORM):
        platform = chain_status()
    unsigned = ChainHead.objects.using(OUTSIDE).filter(signed_seq__lt=F("seq"))
    return Figures(
        Organization.objects.using(OUTSIDE).count(),
        SupportVisit.objects.using(OUTSIDE).filter(left_at=None, until__gt=now).count(),
        StaffGrant.objects.using(OUTSIDE).filter(ended_at=None, expires_at__gt=now).count(),
        unsigned.count(),
        platform,
    )


def inside(*, actor: SupportActor, org_id: UUID) -> Inside:
    """The organization at a glance.

    Raises:
        NotVisible: the actor is on no visit to it.
    """
    with _looking(actor, org_id, "overview", Action.ORGANIZATION_VIEW) as organization:
        people = Membership.objects.values("person_id")
        sessions = ConsoleSession.objects.filter(ConsoleSession.in_use_at(timezone.now()), person__in=people)
        return Inside(organization, people.count(), sessions.count(), chain_status())


def members_inside(
    *, actor: SupportActor, org_id: UUID, email: str = ""
) -> tuple[Organization, list[MemberView]]:
    """The first members by name; with an e-mail address, the one who has exactly that one.

    Raises:
        NotVisible: as `inside`.
    """
    with _looking(actor, org_id, "members", Action.ORGANIZATION_VIEW) as organization:
        return organization, members_at(email) if email else page_of_members(search="", after=None)[0]


def timeline_inside(
    *, actor: SupportActor, org_id: UUID, before: tuple[datetime, UUID] | None
) -> tuple[Organization, Page]:
    """A page of the organization's events.

    Raises:
        NotVisible: as `inside`.
    """
    with _looking(actor, org_id, "timeline", Action.AUDIT_READ) as organization:
        return organization, page(Filter(), before=before)


@contextmanager
def _looking(actor: SupportActor, org_id: UUID, looked_at: str, action: Action) -> Iterator[Organization]:
    """Enter the organization for a look at one of its pages, and record the look."""
    with tenancy.enter(org_id):
        organization = Organization.objects.filter(id=org_id).first()
        policy.explain(actor)
        if organization is None:
            raise NotVisible
        policy.require(actor, action, organization)
        window = Window("support-viewed", (str(actor.visit_id), looked_at), settings.SUPPORT_VISIT_S)
        if not window.is_recorded():
            append(EventKind.SUPPORT_VIEWED, actor=actor, target=organization, page=looked_at)
            window.mark_after_commit()
        yield organization
