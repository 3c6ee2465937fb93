"""Reads of organizations as wholes, and of the person who is signed in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.conf import settings as django_settings
from django.db.models import Exists, Q
from django.utils import timezone

from audit.filters import Filter
from audit.models import Event
from audit.reads import record_read
from audit.selectors import ChainStatus, chain_status, page
from envforge import tenancy
from envforge.actor import Actor, ServiceAccountActor, UserActor
from envforge.errors import NotVisible
from envforge.surfaces import surface_named
from orgs import policy
from orgs.digests import digest
from orgs.lookups import organization_by_slug, organizations_of_person
from orgs.models import ConsoleSession, Membership, Organization, Person
from orgs.policy import Action, Answer
from orgs.selectors.listed import MemberView, newest_members

# No organization has this id (version 8, made by hand): entered for slugs that do not exist, so that a stranger
# causes the same queries whether or not there is something to hide (I5).
NOWHERE = UUID("00000000-0000-8000-8000-6e6f77686572")
LATEST_EVENTS = 10
MOST_SESSIONS = 100

# What it takes to look at each of an organization's pages.
PAGES = {
    "workspaces": Action.WORKSPACE_VIEW,
    "dev-links": Action.DEV_LINK_VIEW,
    "timeline": Action.AUDIT_READ,
    "projects": Action.PROJECT_VIEW,
    "secrets": Action.SECRET_VIEW,
    "hosts": Action.PLACEMENT_VIEW,
    "usage": Action.USAGE_VIEW,
}


@dataclass(frozen=True, slots=True)
class OrganizationView:
    """An organization in a list of one's own."""

    slug: str
    name: str


class AboutOrganization(Protocol):
    """What a page shows that is about one organization."""

    @property
    def organization(self) -> Organization: ...


@dataclass(frozen=True, slots=True)
class Overview:
    """An organization at a glance; `events` only for those who may read the audit, `why_no_events` for the others."""

    organization: Organization
    member_count: int
    newest: list[MemberView]
    chain: ChainStatus
    events: list[Event] | None
    why_no_events: str


@dataclass(frozen=True, slots=True)
class Settings:
    """An organization's settings, and whether the actor may change them."""

    organization: Organization
    rename: Answer


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person who is signed in, and by which session."""

    session: ConsoleSession
    actor: UserActor

    @property
    def person(self) -> Person:
        return self.session.person


@dataclass(frozen=True, slots=True)
class SessionView:
    """One of one's own sessions; `host` says at which of ours, in words."""

    id: UUID
    host: str
    browser: str
    created_at: datetime
    last_seen_at: datetime


def organization(*, actor: Actor, slug: str) -> Organization:
    """The organization with this slug.

    Raises:
        NotVisible: there is none, or the actor is no member of it.
    """
    with visible(actor, slug) as (found, _):
        return found


def overview(*, actor: Actor, slug: str) -> Overview:
    """What is going on in the organization; a read of its audit is recorded once an hour.

    Raises:
        NotVisible: as `organization`.
    """
    with visible(actor, slug, Action.AUDIT_READ) as (found, answers):
        may_read = answers[Action.AUDIT_READ]
        events = None
        if may_read.allowed:
            events = page(Filter(), size=LATEST_EVENTS).events
            record_read(actor=actor, target=found)
        return Overview(found, *newest_members(), chain_status(), events, may_read.why)


def settings(*, actor: Actor, slug: str) -> Settings:
    """The organization's settings.

    Raises:
        NotVisible: as `organization`.
    """
    with visible(actor, slug, Action.ORGANIZATION_RENAME) as (found, answers):
        return Settings(found, answers[Action.ORGANIZATION_RENAME])


def pages(*, actor: Actor, org_id: UUID) -> frozenset[str]:
    """The organization's pages, by name, that the actor may look at; the navigation offers no other."""
    with tenancy.enter(org_id):
        may = policy.anywhere(actor, *PAGES.values())
    return frozenset(name for name, action in PAGES.items() if action in may)


def organizations(
    *, actor: Actor, besides: UUID | None = None, at_most: int | None = None
) -> list[OrganizationView]:
    """The actor's organizations by name; two queries for each, since nobody reads across organizations.

    Args:
        besides: one that is left out.
        at_most: so many, of those whose membership is the oldest.
    """
    mine: list[OrganizationView] = []
    for org_id in [one for one in _ids(actor) if one != besides][:at_most]:
        with tenancy.enter(org_id):
            found = Organization.objects.filter(_open_to(actor), id=org_id)
            mine += [OrganizationView(one.slug, one.name) for one in found]
    return sorted(mine, key=lambda one: (one.name.casefold(), one.slug))


def _ids(actor: Actor) -> list[UUID]:
    match actor:
        case UserActor(person_id=person_id):
            return organizations_of_person(person_id)
        case ServiceAccountActor(org_id=org_id):
            return [org_id]
        case _:
            return []


def _open_to(actor: Actor) -> Q:
    """To whoever is suspended, an organization is as if it were not there."""
    if not isinstance(actor, UserActor):
        return Q()
    return Q(Exists(Membership.objects.filter(person_id=actor.person_id, suspended_at=None)))


def visitor(*, key: str, surface: str) -> Visitor | str:
    """Whose session of this surface has this key; else the cause for which it no longer works, empty if there is none."""
    session = (
        ConsoleSession.objects.select_related("person")
        .filter(key_digest=digest(key), surface=surface)
        .first()
    )
    over = session.why_over(timezone.now()) if session else ""
    return Visitor(session, session.person.as_actor()) if session and not over else over


def sessions(*, actor: UserActor) -> list[SessionView]:
    """The actor's sessions that still work, the last used first, up to `MOST_SESSIONS`."""
    now = timezone.now()
    live = ConsoleSession.objects.filter(ConsoleSession.in_use_at(now), person_id=actor.person_id)
    return [
        SessionView(row.id, surface_named(row.surface).title, row.browser, row.created_at, row.last_seen_at)
        for row in live.order_by("-last_seen_at", "-id")[:MOST_SESSIONS]
    ]


def person_by_verified_email(email: str) -> Person | None:
    """The one person whom the issuer of today knows by this verified address; for an operator's commands."""
    people = Person.objects.filter(
        issuer=django_settings.AUTH0_ISSUER, email__iexact=email, email_verified=True, is_active=True
    )
    found = list(people[:2])
    return found[0] if len(found) == 1 else None


@contextmanager
def visible(actor: Actor, slug: str, *actions: Action) -> Iterator[tuple[Organization, dict[Action, Answer]]]:
    """Enter the organization with this slug, for somebody who may see it, with what policy says of the actions."""
    with tenancy.enter(organization_by_slug(slug) or NOWHERE):
        found = Organization.objects.filter(slug=slug).first()
        answers = policy.explain(actor, *actions)
        if found is None:
            raise NotVisible
        yield found, answers
