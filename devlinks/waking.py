"""A verified request wakes a sleeping workspace, as far as its link may spend (L6, W6, THREATS G5)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from devlinks import denials, rules
from devlinks.deciding import estimate_s, session_of, why_not
from devlinks.lookups import session_by_digest
from devlinks.models import DevLink, DevSession, LinkWake
from devlinks.purges import revision_now
from envforge import tenancy
from envforge.errors import Conflict
from envforge_protocol.gateway.waking import Step, WakeAnswer, WakeRequest
from workspaces.caps import CapReached
from workspaces.models import MeterWindow, Observed, Power, Runtime, Wake, WakeCause, Workspace
from workspaces.requests import wake_on_request

DAY = timedelta(days=1)
# When to ask again, where nothing better is known; a purge of the routes tells sooner.
RETRY_AFTER_S = 3


def wake(request: WakeRequest) -> WakeAnswer:
    """Where the wake stands that this session's request asks for. Asking while it wakes spends nothing."""
    revision = revision_now()
    ids = session_by_digest(request.session)
    if ids is None:
        return WakeAnswer(revision=revision, state="refused", word="no_session")
    org_id, session_id = ids
    with tenancy.enter(org_id):
        session = session_of(session_id)
        word = why_not(session, request.host)
        link_id = session.link_id if session else None
        answer = None
        if session is not None and not word:
            answer = _asked(session, revision)
            word = answer.word or ""
    if word and link_id is not None:
        denials.tell(org_id, link_id, word)
    return answer or WakeAnswer(revision=revision, state="refused", word=word)


def _asked(session: DevSession, revision: int) -> WakeAnswer:
    # Workspace and runtime before the link, as everywhere.
    Workspace.objects.select_for_update().filter(id=session.workspace_id).first()
    runtime = Runtime.objects.select_for_update().get(workspace_id=session.workspace_id)
    runtime.workspace = session.workspace
    if runtime.wanted != Power.AWAKE:
        link = _locked(session.link_id)
        if link is not None:
            word = _spent(link)
            if word:
                return _refused(session, revision, word)
        try:
            _wake(session, link)
        except CapReached:
            return _refused(session, revision, "cap")
        except Conflict:
            return _refused(session, revision, "paused")
        runtime.refresh_from_db()
        if link is not None and runtime.wanted == Power.AWAKE:
            _count(link, runtime)
    return _stands(runtime, session, revision)


def _wake(session: DevSession, link: DevLink | None) -> None:
    if link is not None:
        cause, detail = WakeCause.DEV_LINK, link.name
    else:
        assert session.person is not None  # noqa: S101 - a session is a link's or a member's
        cause, detail = WakeCause.MEMBER_URL, session.person.name
    wake_on_request(org_id=session.org_id, workspace_id=session.workspace_id, cause=cause, detail=detail)


def _locked(link_id: UUID | None) -> DevLink | None:
    if link_id is None:
        return None
    return DevLink.objects.select_for_update(of=("self",)).select_related("workspace").get(id=link_id)


def _count(link: DevLink, runtime: Runtime) -> None:
    _, made = LinkWake.objects.get_or_create(
        workspace_id=link.workspace_id,
        epoch=runtime.epoch,
        defaults={"link": link, "asked_at": timezone.now()},
    )
    if made:
        link.wakes_spent += 1
        link.save(update_fields=["wakes_spent"])


def _refused(session: DevSession, revision: int, word: str) -> WakeAnswer:
    return WakeAnswer(revision=revision, workspace_id=session.workspace_id, state="refused", word=word)


def _stands(runtime: Runtime, session: DevSession, revision: int) -> WakeAnswer:
    if runtime.wanted == Power.AWAKE and runtime.observed == Observed.AWAKE:
        return WakeAnswer(revision=revision, workspace_id=session.workspace_id, state="awake")
    if runtime.observed == Observed.FAILED:
        return WakeAnswer(
            revision=revision,
            workspace_id=session.workspace_id,
            state="failed",
            steps=_steps(runtime, session.service),
        )
    return WakeAnswer(
        revision=revision,
        workspace_id=session.workspace_id,
        state="waking",
        estimate_s=estimate_s(runtime),
        retry_after_s=RETRY_AFTER_S,
        steps=_steps(runtime, session.service),
    )


def _steps(runtime: Runtime, service: str) -> tuple[Step, ...]:
    """What its visitor reads of the wake; nothing of VMs, addresses or the cloud (W4)."""
    starting = runtime.observed in {Observed.STARTING, Observed.AWAKE}
    failed = runtime.observed == Observed.FAILED
    return (
        Step(words="Starting the machine", state="failed" if failed else "done" if starting else "now"),
        Step(words=f"Starting {service}", state="now" if starting else "later"),
    )


@dataclass(frozen=True, slots=True)
class Spent:
    """What wakes cost: how many, and how long they lasted together, those that are not over included."""

    wakes: int
    awake_s: int


def spent_by(link: DevLink, now: datetime) -> Spent:
    """What a link's own wakes cost."""
    epochs = LinkWake.objects.filter(link=link).values_list("epoch", flat=True)
    return Spent(link.wakes_spent, _awake_s(link.workspace_id, list(epochs), now, since=None))


def spent_in(workspace_id: UUID, now: datetime) -> Spent:
    """What the wakes of all links of a workspace cost in the last 24 hours."""
    epochs = list(
        LinkWake.objects.filter(workspace_id=workspace_id, asked_at__gt=now - DAY).values_list(
            "epoch", flat=True
        )
    )
    return Spent(len(epochs), _awake_s(workspace_id, epochs, now, since=now - DAY))


def may_keep_awake(link: DevLink, now: datetime) -> bool:
    """Whether a visitor's use may still put off the sleep: of a wake that a link caused, only within what all links of the
    workspace may spend, and within this link's own where it is the one.
    """
    epoch = (
        Runtime.objects.filter(workspace_id=link.workspace_id).values_list("epoch", flat=True).first() or 0
    )
    caused = (
        LinkWake.objects.filter(workspace_id=link.workspace_id, epoch__lte=epoch).order_by("-epoch").first()
    )
    if caused is None or epoch not in _lasted(link.workspace_id, [caused.epoch]):
        return True
    if spent_in(link.workspace_id, now).awake_s >= rules.current().workspace_awake_s:
        return False
    return caused.link_id != link.id or spent_by(link, now).awake_s < link.awake_budget_s


def _spent(link: DevLink) -> str:
    """`wake_budget` where the link or its workspace has nothing left, else nothing."""
    now, allowed = timezone.now(), rules.current()
    own, together = spent_by(link, now), spent_in(link.workspace_id, now)
    gone = (
        own.wakes >= link.wakes_budget
        or own.awake_s >= link.awake_budget_s
        or together.wakes >= allowed.workspace_wakes
        or together.awake_s >= allowed.workspace_awake_s
    )
    return "wake_budget" if gone else ""


def _lasted(workspace_id: UUID, epochs: list[int]) -> set[int]:
    """These wakes, and those in which they went on when their VM was lost (W11)."""
    lasted = set(epochs)
    if lasted:
        recovered = Wake.objects.filter(
            runtime__workspace_id=workspace_id, cause=WakeCause.RECOVERY, epoch__gt=min(lasted)
        )
        for epoch in recovered.order_by("epoch").values_list("epoch", flat=True):
            if epoch - 1 in lasted:
                lasted.add(epoch)
    return lasted


def _awake_s(workspace_id: UUID, epochs: list[int], now: datetime, *, since: datetime | None) -> int:
    lasted = _lasted(workspace_id, epochs)
    windows = MeterWindow.objects.filter(workspace_id=workspace_id, epoch__in=lasted)
    if since is not None:
        windows = windows.filter(Q(closed_at=None) | Q(closed_at__gt=since))
    total = 0.0
    for opened_at, closed_at in windows.values_list("opened_at", "closed_at"):
        begins = max(opened_at, since) if since else opened_at
        total += max(0.0, ((closed_at or now) - begins).total_seconds())
    return int(total)
