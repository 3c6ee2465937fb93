"""Reads of links: what there is, who uses it, what a revocation did, and what a new one can be (L1, L4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from devlinks import rules
from devlinks.ending import open_links
from devlinks.issuers import may_issue
from devlinks.labels import host_name
from devlinks.models import DevLink, DevSession
from devlinks.rules import Rules
from devlinks.services import Linkable, linkable_services
from devlinks.settling import Receipt, receipts_of
from devlinks.waking import spent_by, spent_in
from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.member_parts import MemberLine
from orgs.models import Membership, Organization
from orgs.policy import About, Action, Answer
from orgs.selectors import visible
from workspaces.models import Presence, Workspace
from workspaces.page_parts import LinksNow

PAGE_SIZE = 50
MOST_ON_WORKSPACE = 5


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link; `state` is `open`, `expired` or `revoked`, `visitors` are sessions that work now."""

    id: UUID
    name: str
    note: str
    service: str
    surfaces: tuple[str, ...]
    state: str
    workspace_id: UUID
    workspace: str
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str
    handed_over_from: str
    first_used_at: datetime | None
    last_used_at: datetime | None
    wakes_spent: int
    wakes_budget: int
    awake_budget_s: int
    visitors: int


@dataclass(frozen=True, slots=True)
class Links:
    """A page of links, the newest first."""

    organization: Organization
    links: list[LinkView]
    next_after: UUID | None
    rules: Rules
    set_policy: Answer


@dataclass(frozen=True, slots=True)
class LinkRules:
    """An organization's policy for links, and whether the actor may change it."""

    organization: Organization
    rules: Rules
    set_policy: Answer


@dataclass(frozen=True, slots=True)
class OneLink:
    """A link, what its revocations did at each gateway, and what the actor may do with it."""

    organization: Organization
    link: LinkView
    host: str
    receipts: list[Receipt]
    latest_end: datetime
    revoke: Answer
    change: Answer
    # Giving out an address anew: rotating, extending, opening more.
    issue: Answer
    # For how long its wakes have lasted together.
    awake_s: int


@dataclass(frozen=True, slots=True)
class PersonsLinks:
    """The links that a member answers for, the newest first, how many of them are open, and what the actor may do with those."""

    organization: Organization
    person_id: UUID
    name: str
    own: bool
    links: list[LinkView]
    open: int
    hand_over: Answer


@dataclass(frozen=True, slots=True)
class NewLink:
    """What a link of a workspace can be: its services with the paths that lead on to another one, and the rules."""

    organization: Organization
    workspace: Workspace
    services: list[Linkable]
    rules: Rules
    issue: Answer
    served: bool


def links(*, actor: Actor, slug: str, after: UUID | None = None, workspace_id: UUID | None = None) -> Links:
    """The links of the organization, or of one workspace, that the actor may see.

    Raises:
        NotVisible: no such organization or workspace for this actor.
        NotAllowed: the actor may see no link at all.
    """
    with visible(actor, slug, Action.DEV_LINK_SET_POLICY) as (found, answers):
        rows = DevLink.objects.all()
        if workspace_id is not None:
            workspace = Workspace.objects.filter(id=workspace_id).first()
            if workspace is None:
                raise NotVisible
            policy.require(actor, Action.DEV_LINK_VIEW, workspace)
            rows = rows.filter(workspace=workspace)
        else:
            seen = policy.reach(actor, Action.DEV_LINK_VIEW)
            if not seen:
                policy.require(actor, Action.DEV_LINK_VIEW, found)
            if not seen.everywhere:
                places = Q(workspace_id__in=seen.workspace_ids) | Q(
                    workspace__project_id__in=seen.project_ids
                )
                rows = rows.filter(places)
        if after is not None:
            last = DevLink.objects.filter(id=after).first()
            if last is not None:
                rows = rows.filter(
                    Q(issued_at__lt=last.issued_at) | Q(issued_at=last.issued_at, id__lt=last.id)
                )
        page = _views(rows, PAGE_SIZE + 1)
        more = page[PAGE_SIZE - 1].id if len(page) > PAGE_SIZE else None
        return Links(found, page[:PAGE_SIZE], more, rules.current(), answers[Action.DEV_LINK_SET_POLICY])


def link(*, actor: Actor, slug: str, link_id: UUID) -> OneLink:
    """One link.

    Raises:
        NotVisible: there is none for this actor.
    """
    with visible(actor, slug) as (found, _):
        row = DevLink.objects.select_related("workspace", "host").filter(id=link_id).first()
        if row is None:
            raise NotVisible
        may = policy.explain(
            actor,
            *(Action.DEV_LINK_VIEW, Action.DEV_LINK_REVOKE, Action.DEV_LINK_CHANGE),
            target=row.workspace,
            about=About(belongs_to=row.person_id),
        )
        if not may[Action.DEV_LINK_VIEW].allowed:
            policy.require(actor, Action.DEV_LINK_VIEW, row.workspace)
        [view] = _views(DevLink.objects.filter(id=row.id), 1)
        allowed = rules.current()
        latest = row.issued_at + rules.longest(allowed)
        return OneLink(
            found,
            view,
            host_name(row.host.label),
            receipts_of("link", row.id, row.org_id),
            latest,
            may[Action.DEV_LINK_REVOKE],
            may[Action.DEV_LINK_CHANGE],
            may_issue(actor, row.workspace, allowed),
            spent_by(row, timezone.now()).awake_s,
        )


def new_link(*, actor: Actor, slug: str, workspace_id: UUID) -> NewLink:
    """What can be issued for a workspace, and whether the actor may.

    Raises:
        NotVisible: there is no such workspace for this actor.
    """
    with visible(actor, slug) as (found, _):
        workspace = Workspace.objects.select_related("project").filter(id=workspace_id).first()
        if workspace is None or workspace.wanted == Presence.DELETED:
            raise NotVisible
        return _new_link(actor, found, workspace)


def links_of_person(*, actor: Actor, slug: str, person_id: UUID) -> PersonsLinks:
    """The latest links that a member answers for: one's own, or as an admin.

    Raises:
        NotVisible: there is no such member for this actor.
        NotAllowed: it is another one, and the actor does not set the organization's policy for links.
    """
    with visible(actor, slug, Action.MEMBER_REMOVE) as (found, may):
        member = Membership.objects.select_related("person").filter(person_id=person_id).first()
        if member is None:
            raise NotVisible
        own = person_id in actor.people
        if not own:
            policy.require_here(actor, Action.DEV_LINK_SET_POLICY)
        rows = DevLink.objects.filter(person_id=person_id)
        return PersonsLinks(
            found,
            person_id,
            member.person.name,
            own,
            _views(rows, PAGE_SIZE),
            open_links().filter(person_id=person_id).count(),
            may[Action.MEMBER_REMOVE],
        )


def on_member(actor: Actor, member: Membership) -> MemberLine | None:
    """The line of a member's page; in the entered organization."""
    may = policy.explain(actor, Action.DEV_LINK_SET_POLICY)
    if member.person_id not in actor.people and not may[Action.DEV_LINK_SET_POLICY].allowed:
        return None
    count = open_links().filter(person_id=member.person_id).count()
    if not count:
        return None
    return MemberLine(f"{count} open dev link{'' if count == 1 else 's'}", "member-links")


def link_rules(*, actor: Actor, slug: str) -> LinkRules:
    """The organization's policy for links. Raises NotVisible."""
    with visible(actor, slug, Action.DEV_LINK_SET_POLICY) as (found, answers):
        return LinkRules(found, rules.current(), answers[Action.DEV_LINK_SET_POLICY])


def on_page(actor: Actor, workspace: Workspace) -> Mapping[str, Any] | None:
    """The part of a workspace's page; in its entered organization."""
    may = policy.explain(actor, Action.DEV_LINK_VIEW, Action.DEV_LINK_REVOKE, target=workspace)
    if not may[Action.DEV_LINK_VIEW].allowed:
        return None
    organization = Organization.objects.get(id=workspace.org_id)
    rows = DevLink.objects.filter(workspace=workspace)
    return {
        "new": _new_link(actor, organization, workspace),
        "links": [one for one in _views(rows, MOST_ON_WORKSPACE) if one.state == "open"],
        "total": rows.count(),
        "revoke": may[Action.DEV_LINK_REVOKE],
        "spent": spent_in(workspace.id, timezone.now()),
    }


def links_now(workspace: Workspace) -> LinksNow:
    """How many links of a workspace are open, and how many of them somebody is in by."""
    now = timezone.now()
    live = DevLink.objects.filter(workspace=workspace, revoked_at=None, expires_at__gt=now)
    used = live.filter(sessions__ended_at=None, sessions__expires_at__gt=now).distinct().count()
    return LinksNow(open=live.count(), used=used)


def _new_link(actor: Actor, organization: Organization, workspace: Workspace) -> NewLink:
    about = About(private=not workspace.public)
    may = policy.explain(actor, Action.DEV_LINK_ISSUE, target=workspace, about=about)[Action.DEV_LINK_ISSUE]
    allowed = rules.current()
    return NewLink(
        organization,
        workspace,
        # The one that leads on to others is what people look at: it comes first.
        sorted(linkable_services(workspace), key=lambda one: (not one.routes.forward, one.service)),
        allowed,
        may_issue(actor, workspace, allowed) if may.allowed else may,
        bool(settings.DEV_DOMAIN),
    )


def _views(rows: "QuerySet[DevLink]", at_most: int) -> list[LinkView]:
    now = timezone.now()
    found = list(rows.select_related("workspace").order_by("-issued_at", "-id")[:at_most])
    live = DevSession.objects.filter(link__in=found, ended_at=None, expires_at__gt=now)
    visitors = dict(live.values_list("link").annotate(count=Count("id")).values_list("link", "count"))
    return [
        LinkView(
            row.id,
            row.name,
            row.note,
            row.service,
            tuple(row.surfaces),
            row.why_over(now) or "open",
            row.workspace_id,
            row.workspace.name,
            row.issued_by,
            row.issued_at,
            row.expires_at,
            row.revoked_at,
            row.revoked_by,
            row.handed_over_from,
            row.first_used_at,
            row.last_used_at,
            row.wakes_spent,
            row.wakes_budget,
            row.awake_budget_s,
            visitors.get(row.id, 0),
        )
        for row in found
    ]
