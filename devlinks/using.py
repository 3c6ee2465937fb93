"""What gateways tell of sessions' use: when a link was last used, and what keeps a runtime awake (W7, L9).

Times alone are kept, the latest of each; so a batch that comes twice changes nothing.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db.models import Q
from django.utils import timezone

from devlinks import denials
from devlinks.members import sign_in_of
from devlinks.models import DevLink, DevSession
from devlinks.waking import may_keep_awake
from envforge import tenancy
from envforge_protocol.gateway.activity import ActivityBatch, SessionActivity
from orgs.sessions import see_session
from workspaces.activity import Use, note_request

# How coarsely use is kept, so that not every batch is a write.
USED_STEP = timedelta(seconds=30)

log = structlog.get_logger(__name__)


def take(batch: ActivityBatch) -> None:
    """Take up a batch; what it says of sessions that are not there, or are another organization's, counts for nothing."""
    by_org: dict[UUID, list[SessionActivity]] = {}
    for one in batch.sessions:
        by_org.setdefault(one.organization_id, []).append(one)
    for org_id, told in by_org.items():
        _take(org_id, told)
    for denial in batch.denials:
        if denial.link_id is not None and _is_of(denial.organization_id, denial.session_id, denial.link_id):
            denials.tell(denial.organization_id, denial.link_id, denial.word)


def _take(org_id: UUID, told: Iterable[SessionActivity]) -> None:
    now = timezone.now()
    latest: dict[tuple[UUID, Use], datetime] = {}
    seen: set[UUID] = set()
    with tenancy.enter(org_id):
        sessions = DevSession.objects.select_related("link").in_bulk([one.session_id for one in told])
        for one in told:
            session = sessions.get(one.session_id)
            if session is None or not session.works(now):
                continue
            active_at = _not_later(one.active_at, now)
            _see(session, max(filter(None, (active_at, _not_later(one.background_at, now))), default=now))
            if session.console_session_id is not None and active_at is not None:
                seen.add(session.console_session_id)
            if session.link is not None and not may_keep_awake(session.link, now):
                continue
            use = Use.DEV_LINK if session.link is not None else Use.MEMBER_URL
            for kind, at in ((use, active_at), (Use.BACKGROUND, _not_later(one.background_at, now))):
                if at is not None:
                    key = (session.workspace_id, kind)
                    latest[key] = max(at, latest.get(key, at))
    for (workspace_id, kind), at in latest.items():
        note_request(org_id, workspace_id, kind, at)
    for console_session_id in seen:
        sign_in = sign_in_of(console_session_id)
        if sign_in is not None:
            see_session(session=sign_in)


def _see(session: DevSession, at: datetime) -> None:
    if session.last_used_at is not None and at < session.last_used_at + USED_STEP:
        return
    DevSession.objects.filter(id=session.id).update(last_used_at=at)
    if session.link_id is not None:
        older = Q(last_used_at=None) | Q(last_used_at__lt=at)
        DevLink.objects.filter(older, id=session.link_id).update(last_used_at=at)


def _not_later(at: datetime | None, now: datetime) -> datetime | None:
    """A gateway's clock may be ahead; nobody used anything in the future."""
    return None if at is None else min(at, now)


def _is_of(org_id: UUID, session_id: UUID, link_id: UUID) -> bool:
    with tenancy.enter(org_id):
        return DevSession.objects.filter(id=session_id, link_id=link_id).exists()
