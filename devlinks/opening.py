"""How a link, or a member's sign-in, becomes a session at one host, as gateways ask for it (DESIGN 8, THREATS G4)."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from devlinks import denials, link_keys
from devlinks.ending import end_sessions
from devlinks.labels import host_name, label_in
from devlinks.lookups import code_by_digest, organization_of_link, session_by_digest
from devlinks.members import ends_at, require_entry, sign_in_of
from devlinks.models import DevCode, DevLink, DevSession, HostLabel
from devlinks.purges import purge, revision_now
from devlinks.services import linkable_service
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import NotAllowed, NotVisible
from envforge_protocol.gateway import link_tokens
from envforge_protocol.gateway.base import OPAQUE_BYTES, digest
from envforge_protocol.gateway.decisions import Refused
from envforge_protocol.gateway.link_tokens import BadLinkToken, Claims
from envforge_protocol.gateway.opening import (
    CODE_FOR_S,
    EndRequest,
    Opened,
    OpenRequest,
    Redeemed,
    RedeemRequest,
)
from workspaces.models import Presence

# What a token whose signature does not hold is answered: the gateway had verified it, with keys it may no longer use.
_BAD = {"expired": "expired"}


class No(Exception):
    """A refusal, in the wire's word: an answer, not an error."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


def open_link(request: OpenRequest) -> Opened:
    """A one-time code for whoever shows a link that holds, or the word for why it does not."""
    revision = revision_now()
    try:
        claims = link_tokens.verify(
            request.token.get_secret_value(),
            link_keys.verifying_keys(),
            audience=settings.DEV_DOMAIN,
            now=timezone.now(),
        )
    except BadLinkToken as bad:
        return Opened(revision=revision, refused=Refused(word=_BAD.get(bad.word, "revoked")))
    org_id = organization_of_link(claims.link)
    if org_id is None or org_id != claims.organization:
        return Opened(revision=revision, refused=Refused(word="gone"))
    with tenancy.enter(org_id):
        link = DevLink.objects.select_related("workspace", "host").get(id=claims.link)
        word = _why_not_claimed(link, claims) or why_not(link)
        if not word:
            code = new_code(link.host, state=request.state, link=link)
    if word:
        denials.tell(org_id, claims.link, word)
        return Opened(revision=revision, refused=Refused(word=word))
    return Opened.model_validate({"revision": revision, "host": host_name(link.host.label), "code": code})


def redeem(request: RedeemRequest) -> Redeemed:
    """A session for the browser that holds the state a code was made for, or the word for why there is none."""
    revision = revision_now()
    label = label_in(request.host)
    ids = code_by_digest(digest(request.code.get_secret_value())) if label else None
    if ids is None:
        return Redeemed(revision=revision, refused=Refused(word="code"))
    org_id, code_id = ids
    with tenancy.enter(org_id):
        # The link before the code: whoever revokes it holds its row, and then finds every session that was made before.
        found = DevCode.objects.filter(id=code_id).values_list("link_id", flat=True).first()
        link = _locked(found) if found else None
        codes = DevCode.objects.select_for_update(of=("self",)).select_related("host__workspace")
        code = codes.filter(id=code_id).first()
        word, session = "code", None
        if code is not None:
            try:
                session = _session(code, label or "", request, link)
                word = ""
            except No as no:
                word = no.word
    if session is None:
        if found:
            denials.tell(org_id, found, word)
        return Redeemed(revision=revision, refused=Refused(word=word))
    return Redeemed(revision=revision, session_id=session.id, expires_at=session.expires_at)


def end(request: EndRequest) -> None:
    """A browser's own wish to be out; a session that is none changes nothing."""
    ids = session_by_digest(request.session)
    if ids is None:
        return
    org_id, session_id = ids
    with tenancy.enter(org_id):
        found = DevSession.objects.filter(id=session_id, host__label=label_in(request.host) or "")
        if end_sessions(found, cause="left"):
            purge("session", session_id, reason="signed_out")


def new_code(
    host: HostLabel,
    *,
    state: str,
    link: DevLink | None = None,
    person_id: UUID | None = None,
    console_session_id: UUID | None = None,
) -> str:
    """A one-time code of 256 bits, of which the digest is kept; in the caller's transaction and organization."""
    code, now = secrets.token_urlsafe(OPAQUE_BYTES), timezone.now()
    DevCode.objects.create(
        digest=digest(code),
        state=state,
        host=host,
        link=link,
        rotation=link.rotation if link else 0,
        person_id=person_id,
        console_session_id=console_session_id,
        made_at=now,
        expires_at=now + timedelta(seconds=CODE_FOR_S),
    )
    return code


def why_not(link: DevLink) -> str:
    """The word for why a link opens nothing now; empty while it does."""
    over = link.why_over(timezone.now())
    if over:
        return over
    if link.workspace.wanted != Presence.PRESENT:
        return "gone"
    if not link.workspace.public:
        return "tailscale_only"
    return ""


def _why_not_claimed(link: DevLink, claims: Claims) -> str:
    if claims.rotation != link.rotation:
        return "revoked" if link.revoked_at else "rotated"
    same = (claims.workspace, claims.service, claims.host) == (
        link.workspace_id,
        link.service,
        host_name(link.host.label),
    )
    if not same:
        return "gone"
    return "" if linkable_service(link.workspace, link.service) else "gone"


def _locked(link_id: UUID) -> DevLink:
    links = DevLink.objects.select_for_update(of=("self",)).select_related("workspace", "host")
    return links.get(id=link_id)


def _session(code: DevCode, label: str, request: RedeemRequest, link: DevLink | None) -> DevSession:
    now = timezone.now()
    if code.spent_at is not None or code.expires_at <= now or code.host.label != label:
        raise No("code")
    if not secrets.compare_digest(code.state, request.state):
        raise No("state")
    code.spent_at = now
    code.save(update_fields=["spent_at"])
    if link is not None:
        return _of_link(code, link, request.session, now)
    return _of_member(code, request.session, now)


def _of_link(code: DevCode, link: DevLink, value_digest: str, now: datetime) -> DevSession:
    word = why_not(link) or ("rotated" if code.rotation != link.rotation else "")
    if word:
        raise No(word)
    if link.first_used_at is None:
        link.first_used_at = now
        append(EventKind.DEV_LINK_FIRST_USED, actor=SYSTEM, target=link, link_id=link.id)
    link.last_used_at = now
    link.save(update_fields=["first_used_at", "last_used_at"])
    return DevSession.objects.create(
        digest=value_digest,
        workspace=link.workspace,
        host=link.host,
        service=link.service,
        link=link,
        rotation=link.rotation,
        began_at=now,
        expires_at=link.expires_at,
        last_used_at=now,
    )


def _of_member(code: DevCode, value_digest: str, now: datetime) -> DevSession:
    sign_in = sign_in_of(code.console_session_id) if code.console_session_id else None
    if sign_in is None:
        raise No("signed_out")
    workspace = code.host.workspace
    try:
        require_entry(sign_in, workspace)
    except (NotVisible, NotAllowed):
        raise No("not_allowed") from None
    append(
        EventKind.DEV_URL_OPENED, actor=sign_in.person.as_actor(), target=workspace, service=code.host.service
    )
    return DevSession.objects.create(
        digest=value_digest,
        workspace=workspace,
        host=code.host,
        service=code.host.service,
        person=sign_in.person,
        console_session_id=sign_in.id,
        began_at=now,
        expires_at=ends_at(sign_in),
        last_used_at=now,
    )
