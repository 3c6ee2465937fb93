"""Waking runtimes and putting them to sleep (W6, W7)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from envforge import tenancy
from envforge.actor import Actor
from orgs.policy import Action
from workspaces.locks import locked_runtime
from workspaces.models import Observed, Power, Runtime, SleepCause, WakeCause
from workspaces.wants import ask_awake, want_asleep


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
        ask_awake(runtime, actor=actor, cause=cause, detail=detail)
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
