"""Waking runtimes and putting them to sleep (W6, W7)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from envforge import tenancy
from envforge.actor import SYSTEM, Actor
from envforge.errors import Conflict
from orgs.policy import Action
from workspaces import activity
from workspaces.locks import locked_runtime
from workspaces.models import Observed, Power, Presence, Runtime, SleepCause, WakeCause
from workspaces.wants import want_asleep, want_awake

# After a wake that failed, requests of visitors do not begin another one before this has passed.
REST_AFTER_FAILURE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class RuntimeView:
    """A runtime as wanted and observed; `trouble` says in words what keeps it from being awake."""

    workspace_id: UUID
    wanted: Power
    observed: Observed
    epoch: int
    routed: bool
    trouble: str
    sleep_at: datetime | None

    @classmethod
    def of(cls, runtime: Runtime) -> "RuntimeView":
        return cls(
            runtime.workspace_id,
            Power(runtime.wanted),
            Observed(runtime.observed),
            runtime.epoch,
            runtime.routed,
            runtime.trouble,
            runtime.sleep_at,
        )


def wake_runtime(
    *, actor: Actor, org_id: UUID, workspace_id: UUID, cause: WakeCause, detail: str = ""
) -> RuntimeView:
    """Ask for a workspace's runtime to be awake; its VM starts later, in a worker.

    Asking again while it is awake or waking begins no second wake, and counts as use.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        CapReached: the usage cap of this workspace is at "stop".
        Conflict: the workspace is archived.
    """
    with tenancy.enter(org_id):
        runtime = locked_runtime(actor, Action.RUNTIME_WAKE, workspace_id)
        _ask(runtime, actor, cause, detail)
        return RuntimeView.of(runtime)


def wake_on_request(*, org_id: UUID, workspace_id: UUID, cause: WakeCause, detail: str) -> RuntimeView:
    """Wake for a request that a gateway has verified, as EnvForge; whether it may be led there is for the caller to know.

    Shortly after a wake that failed it changes nothing: a browser that asks again and again must not spend money.

    Raises:
        NotVisible: there is no such workspace.
        CapReached, Conflict: as `wake_runtime`.
    """
    with tenancy.enter(org_id):
        runtime = locked_runtime(SYSTEM, Action.RUNTIME_WAKE, workspace_id)
        rests = (
            runtime.observed == Observed.FAILED and timezone.now() - runtime.observed_at < REST_AFTER_FAILURE
        )
        if not rests:
            _ask(runtime, SYSTEM, cause, detail)
        return RuntimeView.of(runtime)


def sleep_runtime(*, actor: Actor, org_id: UUID, workspace_id: UUID) -> RuntimeView:
    """Put a workspace's runtime to sleep: nobody is led there from now on, and its services are stopped. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        runtime = locked_runtime(actor, Action.RUNTIME_SLEEP, workspace_id)
        want_asleep(runtime, actor=actor, cause=SleepCause.ASKED)
        return RuntimeView.of(runtime)


def _ask(runtime: Runtime, actor: Actor, cause: WakeCause, detail: str) -> None:
    if runtime.workspace.wanted != Presence.PRESENT:
        raise Conflict("This workspace is archived. Restore it, then wake it.")
    if not want_awake(runtime, actor=actor, cause=cause, detail=detail):
        activity.note(runtime, at=timezone.now(), cause=cause)
