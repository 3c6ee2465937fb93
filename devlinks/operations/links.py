"""Issuing links and changing them, without touching workspace, shell or runtime (L1, L4, L9)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.utils import timezone

from audit.append import append
from audit.facts import name_text
from audit.kinds import EventKind
from devlinks import link_keys, rules
from devlinks.ending import end_sessions, hand_over, revoke, revoke_all
from devlinks.issuers import require_issuer
from devlinks.labels import host_name, label_of
from devlinks.locks import link_for, workspace_for
from devlinks.models import DevLink
from devlinks.purges import purge
from devlinks.services import linkable_service
from devlinks.words import spoken
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, Invalid, NotVisible
from envforge.secret_value import SecretValue
from envforge_protocol.credentials import credential_in
from envforge_protocol.gateway import link_tokens
from envforge_protocol.gateway.base import Surface
from orgs import policy
from orgs.access import hold_access
from orgs.models import Membership
from orgs.policy import Action
from workspaces.models import Presence, Workspace

MOST_NAME, MOST_NOTE = 80, 500
NOT_SERVED = "Dev links are not set up here: whoever runs EnvForge sets ENVFORGE_DEV_URL."
OVER = "This link is over. Issue another one."


@dataclass(frozen=True, slots=True)
class Issued:
    """A link with the address that opens it, which is shown once and kept nowhere."""

    link: DevLink
    address: SecretValue


def issue_dev_link(
    *,
    actor: Actor,
    org_id: UUID,
    workspace_id: UUID,
    service: str,
    lifetime: timedelta,
    surfaces: Collection[str] = (),
    name: str = "",
    note: str = "",
    wakes_budget: int | None = None,
    awake_budget_s: int | None = None,
) -> Issued:
    """Issue a link to one service of a workspace.

    Args:
        surfaces: what it opens; none for what the organization's policy says.
        name: what people call it; empty for one after the service.
        note: what its reader is told before they enter.
        wakes_budget: how often it may wake the runtime; None for the policy's number.
        awake_budget_s: for how many seconds such wakes may last together; None for the policy's.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; the organization's link policy; public access is closed (L7).
        Invalid: the service is none that links may be issued for, or another value cannot be used.
        Conflict: the workspace is archived, or no dev domain is set up.
        Unavailable: the key that signs does not answer.
    """
    _require_served()
    kid, key = link_keys.signing_key()
    with tenancy.enter(org_id):
        hold_access()
        workspace = workspace_for(actor, Action.DEV_LINK_ISSUE, workspace_id)
        allowed = rules.current()
        require_issuer(actor, workspace, allowed)
        if workspace.wanted != Presence.PRESENT:
            raise Conflict("This workspace is archived. Restore it, then issue the link.")
        if linkable_service(workspace, service) is None:
            raise Invalid(
                "That service takes no links.",
                {"service": "Choose a service of kind “app” whose contract is approved."},
            )
        now = timezone.now()
        person_id = next(iter(actor.people), None)
        link = DevLink(
            workspace=workspace,
            host=label_of(workspace, service),
            service=service,
            name=_named(name or f"{service} for review"),
            note=_noted(note),
            surfaces=_surfaces(surfaces or allowed.surfaces),
            issued_at=now,
            issued_by=actor.label,
            person_id=person_id,
            expires_at=now + _lifetime(lifetime, allowed.longest_s),
            wakes_budget=_budget("wakes_budget", wakes_budget, allowed.wakes_budget),
            awake_budget_s=_budget("awake_budget_s", awake_budget_s, allowed.awake_budget_s),
        )
        link.save(force_insert=True)
        append(
            EventKind.DEV_LINK_ISSUED,
            actor=actor,
            target=link,
            service=service,
            surfaces=link.surfaces,
            expires_at=link.expires_at,
            link_id=link.id,
        )
        return Issued(link, _signed(link, kid, key))


def rotate_dev_link(*, actor: Actor, org_id: UUID, link_id: UUID) -> Issued:
    """Give a link another address: whoever came by the earlier one is out at once.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; who may issue none any more is given no address of an earlier one.
        Conflict: the link is over.
        Unavailable: as `issue_dev_link`.
    """
    _require_served()
    kid, key = link_keys.signing_key()
    with tenancy.enter(org_id):
        link = link_for(actor, Action.DEV_LINK_CHANGE, link_id)
        require_issuer(actor, link.workspace, rules.current())
        _require_open(link)
        link.rotation += 1
        link.save(update_fields=["rotation"])
        end_sessions(link.sessions.all(), cause="rotated")
        append(EventKind.DEV_LINK_ROTATED, actor=actor, target=link, link_id=link.id, rotation=link.rotation)
        purge("link", link.id, reason="rotated")
        return Issued(link, _signed(link, kid, key))


def revoke_dev_link(*, actor: Actor, org_id: UUID, link_id: UUID) -> DevLink:
    """End a link; its visitors are out within a second, and open sockets are cut. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        link = link_for(actor, Action.DEV_LINK_REVOKE, link_id)
        revoke(link, actor=actor, cause="revoked")
        return link


def revoke_links_of_workspace(*, actor: Actor, org_id: UUID, workspace_id: UUID) -> int:
    """End every open link of a workspace; answers how many those were.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        workspace = Workspace.objects.filter(id=workspace_id).first()
        if workspace is None:
            raise NotVisible
        policy.require(actor, Action.DEV_LINK_REVOKE, workspace)
        return revoke_all(DevLink.objects.filter(workspace=workspace), actor=actor, cause="revoked")


def revoke_links_of_person(*, actor: Actor, org_id: UUID, person_id: UUID) -> int:
    """End every open link that a person answers for; answers how many those were. One's own, or as an admin.

    Raises:
        NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        if person_id not in actor.people:
            policy.require_here(actor, Action.DEV_LINK_SET_POLICY)
        return revoke_all(DevLink.objects.filter(person_id=person_id), actor=actor, cause="revoked")


def change_allowlist(*, actor: Actor, org_id: UUID, link_id: UUID, surfaces: Collection[str]) -> DevLink:
    """Change what a link opens. What is open through a surface that it loses is cut. The same again changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: none of the surfaces, or an unknown one.
        Conflict: the link is over.
    """
    with tenancy.enter(org_id):
        link = link_for(actor, Action.DEV_LINK_CHANGE, link_id)
        _require_open(link)
        wanted = _surfaces(surfaces)
        if wanted == link.surfaces:
            return link
        if set(wanted) - set(link.surfaces):
            require_issuer(actor, link.workspace, rules.current())
        loses = bool(set(link.surfaces) - set(wanted))
        link.surfaces = wanted
        link.save(update_fields=["surfaces"])
        append(
            EventKind.DEV_LINK_ALLOWLIST_CHANGED,
            actor=actor,
            target=link,
            link_id=link.id,
            surfaces=wanted,
        )
        purge("link", link.id, reason="allowlist", cut=loses)
        return link


def extend_dev_link(*, actor: Actor, org_id: UUID, link_id: UUID, expires_at: datetime) -> Issued:
    """Let a link live longer, never beyond the policy, which counts from its issue. Its address changes, since its end stands in it.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: the time is not later than the present end, or beyond the policy.
        Conflict: the link is over.
        Unavailable: as `issue_dev_link`.
    """
    _require_served()
    kid, key = link_keys.signing_key()
    with tenancy.enter(org_id):
        link = link_for(actor, Action.DEV_LINK_CHANGE, link_id)
        allowed = rules.current()
        require_issuer(actor, link.workspace, allowed)
        _require_open(link)
        latest = link.issued_at + timedelta(seconds=allowed.longest_s)
        if expires_at <= link.expires_at:
            raise Invalid(
                "The link ends later already.", {"expires_at": "Choose a later time, or revoke it."}
            )
        if expires_at > latest:
            raise Invalid(
                "That is longer than links may live here.",
                {"expires_at": f"Choose {latest:%Y-%m-%d %H:%M} UTC or earlier, or issue another link."},
            )
        link.expires_at = expires_at
        link.save(update_fields=["expires_at"])
        append(EventKind.DEV_LINK_EXTENDED, actor=actor, target=link, link_id=link.id, expires_at=expires_at)
        return Issued(link, _signed(link, kid, key))


def hand_over_links(*, actor: Actor, org_id: UUID, person_id: UUID, to: UUID) -> int:
    """Let another member answer for every open link of a person, before they leave; answers how many those were (I4).

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: the other one is no member, is suspended, or is the same.
    """
    with tenancy.enter(org_id):
        hold_access()
        policy.require_here(actor, Action.MEMBER_REMOVE)
        member = Membership.objects.select_related("person").filter(person_id=to, suspended_at=None).first()
        if member is None or to == person_id:
            words = "Choose somebody else." if member else "Choose a member who is not suspended."
            raise Invalid("Links are handed over to another member.", {"to": words})
        return hand_over(person_id, actor=actor, to=member.person)


def _require_served() -> None:
    if not settings.DEV_DOMAIN:
        raise Conflict(NOT_SERVED)


def _require_open(link: DevLink) -> None:
    if link.why_over(timezone.now()):
        raise Conflict(OVER)


def _signed(link: DevLink, kid: str, key: Ed25519PrivateKey) -> SecretValue:
    """The address of a link with a new token in it."""
    claims = link_tokens.Claims(
        aud=settings.DEV_DOMAIN,
        link=link.id,
        rotation=link.rotation,
        service=link.service,
        workspace=link.workspace_id,
        organization=link.org_id,
        surfaces=tuple(Surface(one) for one in link.surfaces),
        host=host_name(link.host.label),
        iat=int(timezone.now().timestamp()),
        exp=int(link.expires_at.timestamp()),
    )
    token = link_tokens.sign(claims, kid=kid, key=key)
    return SecretValue(f"{settings.DEV_URL}/share/{token}")


def _surfaces(wanted: Collection[str]) -> list[str]:
    found = rules.in_order(wanted)
    if not found or set(wanted) - set(found):
        known = ", ".join(rules.SURFACES)
        raise Invalid("A link opens something.", {"surfaces": f"Choose some of {known}."})
    return list(found)


def _lifetime(wanted: timedelta, longest_s: int) -> timedelta:
    if not rules.SHORTEST_S <= wanted.total_seconds() <= longest_s:
        raise Invalid(
            "A link ends by itself.",
            {"lifetime": f"Choose from a minute to {spoken(longest_s)}, which this organization allows."},
        )
    return wanted


def _budget(field: str, wanted: int | None, usual: int) -> int:
    """What was wished for, up to what the policy gives."""
    if wanted is None:
        return usual
    if not 0 <= wanted <= usual:
        raise Invalid("That is more than links may spend here.", {field: f"Choose from 0 to {usual}."})
    return wanted


def _named(name: str) -> str:
    name = " ".join(name.split())
    try:
        fits = len(name_text(name)) <= MOST_NAME
    except ValueError:
        fits = False
    if not fits:
        words = f"Use one line of 1 to {MOST_NAME} characters, without a password or token in it."
        raise Invalid("The name cannot be used.", {"name": words})
    return name


def _noted(note: str) -> str:
    note = " ".join(note.split())
    if len(note) > MOST_NOTE or not note.isprintable() or credential_in(note):
        words = f"Use up to {MOST_NOTE} characters, without a password or token in it."
        raise Invalid("The note cannot be used.", {"note": words})
    return note
