"""How links and sessions end, for callers who have asked policy; each call stands in the caller's transaction and organization."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from devlinks.lookups import links_expiring, organizations_with_spent_codes, sessions_of_sign_in
from devlinks.members import may_stay
from devlinks.models import DevCode, DevLink, DevSession, ShellTicket
from devlinks.purges import purge
from devlinks.relaying import end_tickets
from envforge import tenancy
from envforge.actor import SYSTEM, Actor
from orgs.access import Narrowed
from orgs.models import Person
from orgs.offboarding import Closing
from workspaces.models import Workspace

AT_ONCE = 500


def open_links() -> "QuerySet[DevLink]":
    """The links of the entered organization that open something now."""
    live = DevLink.objects.select_related("workspace", "host").filter(revoked_at=None, expired_at=None)
    return live.filter(expires_at__gt=timezone.now())


def revoke(link: DevLink, *, actor: Actor, cause: str) -> bool:
    """End a locked link, its sessions with it; answers whether it was open."""
    now = timezone.now()
    if link.why_over(now):
        return False
    link.revoked_at, link.revoked_by, link.revoked_cause = now, actor.label, cause
    link.save(update_fields=["revoked_at", "revoked_by", "revoked_cause"])
    end_sessions(link.sessions.all(), cause=cause)
    append(EventKind.DEV_LINK_REVOKED, actor=actor, target=link, link_id=link.id, cause=cause)
    purge("link", link.id, reason="revoked")
    return True


def revoke_all(links: "QuerySet[DevLink]", *, actor: Actor, cause: str) -> int:
    """End those of the links that are open; answers how many."""
    found = open_links().filter(id__in=links.values("id")).select_for_update(of=("self",)).order_by("id")
    return sum(revoke(link, actor=actor, cause=cause) for link in found)


def end_sessions(sessions: "QuerySet[DevSession]", *, cause: str) -> int:
    """Record the end of sessions; whoever calls purges what they stand on."""
    return sessions.filter(ended_at=None).update(ended_at=timezone.now(), end_cause=cause)


def end_each(sessions: Iterable[DevSession], *, cause: str) -> int:
    """End sessions one by one, and cut them."""
    ended = 0
    for session in sessions:
        if end_sessions(DevSession.objects.filter(id=session.id), cause=cause):
            purge("session", session.id, reason=cause)
            ended += 1
    return ended


def hand_over(person_id: UUID, *, actor: Actor, to: Person) -> int:
    """Let another member answer for a person's open links; answers how many those were."""
    links = list(open_links().filter(person_id=person_id).select_for_update(of=("self",)).order_by("id"))
    for link in links:
        link.person_id, link.handed_over_at, link.handed_over_from = to.id, timezone.now(), link.issued_by
        link.save(update_fields=["person_id", "handed_over_at", "handed_over_from"])
        append(EventKind.DEV_LINK_HANDED_OVER, actor=actor, target=link, link_id=link.id, to=to.name)
    return len(links)


def sign_in_ended(session_id: UUID) -> None:
    """A console session is over: whoever is at a dev host by it is cut, in whatever organization that is (L8).

    The sessions' own rows stay: a resolve looks at the sign-in, and no organization is entered from inside another.
    """
    for org_id, dev_session_id in sessions_of_sign_in(session_id):
        purge("session", dev_session_id, reason="signed_out", org_id=org_id)


def access_narrowed(narrowed: Narrowed) -> None:
    """Somebody lost a role or a token: their sessions that no role allows any more end, and relayed connections (L8, H7)."""
    person_id = narrowed.holder_id
    lost = [session for session in _of_person(person_id) if narrowed.everything or not may_stay(session)]
    end_each(lost, cause="not_allowed")
    end_tickets(person_id, cause="not_allowed")
    # What is decided just now about a session that began meanwhile.
    purge("person", person_id, reason="not_allowed", cut=False)


def count_links(closing: Closing) -> int:
    """How many links `close_links` would end."""
    return open_links().filter(person_id=closing.person_id).count()


def close_links(closing: Closing) -> int:
    """End the links that a leaving member answers for; what was handed over before is another one's (I4)."""
    theirs = DevLink.objects.filter(person_id=closing.person_id)
    return revoke_all(theirs, actor=closing.actor, cause=closing.cause)


def count_sessions(closing: Closing) -> int:
    """How many sessions `close_sessions` would end."""
    return _of_person(closing.person_id).count()


def close_sessions(closing: Closing) -> int:
    """End a leaving member's sessions at dev hosts (I4)."""
    ended = end_each(_of_person(closing.person_id), cause=closing.cause)
    end_tickets(closing.person_id, cause=closing.cause)
    # Whatever else is open in their name; what they have elsewhere is looked at again.
    purge("person", closing.person_id, reason=closing.cause)
    return ended


def workspace_let_go(workspace: Workspace, cause: str) -> None:
    """A workspace is archived or deleted: whoever is in it is cut at once, shells that a gateway relays too, and tickets are
    void. Its links and sessions rest, and open again if it is restored.
    """
    tickets = ShellTicket.objects.filter(workspace=workspace, ended_at=None, until__gt=timezone.now())
    tickets.update(ended_at=timezone.now())
    purge("workspace", workspace.id, reason=cause)


def remove_of_workspace(org_id: UUID, workspace_id: UUID) -> int:
    """A workspace goes for good (W12): its links end, and so does every way into it; answers how many links that were."""
    with tenancy.enter(org_id):
        ended = revoke_all(
            DevLink.objects.filter(workspace_id=workspace_id), actor=SYSTEM, cause="workspace_removed"
        )
        purge("workspace", workspace_id, reason="removed")
        return ended


def record_expired(now: datetime) -> int:
    """A sweep: tell of links that time has ended (they stopped working by themselves); answers how many (L9)."""
    told = 0
    for org_id, link_id in links_expiring(now, AT_ONCE):
        with tenancy.enter(org_id):
            due = Q(revoked_at=None, expired_at=None, expires_at__lte=now)
            links = DevLink.objects.select_for_update(of=("self",), skip_locked=True)
            link = links.select_related("workspace").filter(due, id=link_id).first()
            if link is None:
                continue
            link.expired_at = now
            link.save(update_fields=["expired_at"])
            end_sessions(link.sessions.all(), cause="expired")
            append(EventKind.DEV_LINK_EXPIRED, actor=SYSTEM, target=link, link_id=link.id)
            purge("link", link.id, reason="expired")
            told += 1
    return told


def forget_codes(before: datetime) -> None:
    """A sweep: codes and tickets that ended before this moment are forgotten."""
    for org_id in organizations_with_spent_codes(before, AT_ONCE):
        with tenancy.enter(org_id):
            DevCode.objects.filter(expires_at__lt=before).delete()
            ShellTicket.objects.filter(expires_at__lt=before, until__lt=before).delete()


def _of_person(person_id: UUID) -> "QuerySet[DevSession]":
    live = DevSession.objects.select_related("workspace", "person").order_by("id")
    return live.filter(person_id=person_id, ended_at=None, expires_at__gt=timezone.now())
