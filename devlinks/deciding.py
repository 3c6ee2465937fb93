"""What a session may reach, decided anew for a gateway each time it asks (L3, L5, L7, THREATS G1-G3)."""

from uuid import UUID

from django.utils import timezone

from devlinks import denials
from devlinks.labels import label_in
from devlinks.lookups import session_by_digest
from devlinks.members import why_not as why_not_member
from devlinks.models import DevSession
from devlinks.opening import why_not as why_not_link
from devlinks.purges import revision_now
from devlinks.services import Reached, linkable_service, reached
from envforge import tenancy
from envforge_protocol.gateway.base import Surface
from envforge_protocol.gateway.decisions import (
    Asleep,
    Awake,
    Decision,
    Ingress,
    Refused,
    Resolved,
    ResolveRequest,
)
from workspaces.models import Power, Presence, Runtime, Wake

# A member may what the service offers; what they are is in the session.
ALL_SURFACES = frozenset(Surface)
# How many wakes tell how long the next one takes.
_RECENT_WAKES = 5


def resolve(request: ResolveRequest) -> Resolved:
    """The decision about a session at a host. The revision is read before all else, so that what changes meanwhile has a later one."""
    revision = revision_now()
    ids = session_by_digest(request.session)
    if ids is None:
        return Resolved(revision=revision, refused=Refused(word="no_session"))
    org_id, session_id = ids
    with tenancy.enter(org_id):
        session = session_of(session_id)
        word = why_not(session, request.host)
        decision = None if word or session is None else _decision(session)
        if not word and decision is None:
            word = "gone"
        link_id = session.link_id if session else None
    if word and link_id is not None:
        denials.tell(org_id, link_id, word)
    if decision is None:
        return Resolved(revision=revision, refused=Refused(word=word))
    return Resolved(revision=revision, decision=decision)


def session_of(session_id: UUID) -> DevSession | None:
    """A session of the entered organization, with what it stands on."""
    return (
        DevSession.objects.select_related("workspace", "host", "link__workspace", "person")
        .filter(id=session_id)
        .first()
    )


def why_not(session: DevSession | None, host: str) -> str:
    """The word for why a session reaches nothing at a host; empty where it does."""
    if session is None or session.host.label != label_in(host):
        return "no_session"
    now = timezone.now()
    if session.ended_at is not None:
        return _ENDED.get(session.end_cause, "no_session")
    if session.link is not None:
        word = why_not_link(session.link)
        if word:
            return word
        if session.rotation != session.link.rotation:
            return "rotated"
    if session.expires_at <= now:
        return "expired"
    if session.link is None:
        return why_not_member(session) or _why_not_workspace(session)
    return ""


# How a session ended, in the wire's words.
_ENDED = {
    **{word: word for word in ("revoked", "rotated", "expired", "not_allowed")},
    "left": "signed_out",
    "signed_out": "signed_out",
    "member_suspended": "suspended",
    "member_removed": "not_allowed",
}


def _why_not_workspace(session: DevSession) -> str:
    return "" if session.workspace.wanted == Presence.PRESENT else "gone"


def _decision(session: DevSession) -> Decision | None:
    """None where the service is none that may be led to any more."""
    workspace = session.workspace
    now_runs = reached(workspace, session.service)
    known = now_runs.linkable if now_runs else linkable_service(workspace, session.service)
    if known is None:
        return None
    link = session.link
    return Decision(
        session_id=session.id,
        link_id=session.link_id,
        person_id=session.person_id,
        workspace_id=workspace.id,
        organization_id=session.org_id,
        workspace=workspace.name,
        service=session.service,
        surfaces=frozenset(Surface(one) for one in link.surfaces) if link else ALL_SURFACES,
        routes=known.routes,
        runtime=_awake(now_runs) if now_runs else asleep(Runtime.objects.get(workspace=workspace)),
        expires_at=min(session.expires_at, link.expires_at) if link else session.expires_at,
    )


def _awake(now_runs: Reached) -> Awake:
    return Awake(
        epoch=now_runs.epoch,
        ingress=tuple(
            Ingress.model_validate({"service": one.service, "address": one.address, "port": one.ingress})
            for one in now_runs.targets
        ),
    )


def asleep(runtime: Runtime) -> Asleep:
    """A runtime that is not routed, and how long it will probably take to be."""
    return Asleep(
        state="waking" if runtime.wanted == Power.AWAKE else "asleep", estimate_s=estimate_s(runtime)
    )


def estimate_s(runtime: Runtime) -> int | None:
    """How many seconds its wakes took lately, the middle one of them; None where none is known."""
    took = Wake.objects.filter(runtime=runtime, ready_ms__isnull=False).order_by("-epoch")
    known = sorted(ms or 0 for ms in took.values_list("ready_ms", flat=True)[:_RECENT_WAKES])
    return round(known[len(known) // 2] / 1000) if known else None
