"""The five visible states of a workspace, derived from what is wanted and what was observed (W4)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from workspaces.models import Observed, Power, Presence, Runtime, Shell, ShellState, Workspace


class State(StrEnum):
    """Where a workspace stands as a whole, for lists and programs."""

    AWAKE = "awake"
    WAKING = "waking"
    FALLING_ASLEEP = "falling_asleep"
    ASLEEP = "asleep"
    FAILED = "failed"
    ARCHIVED = "archived"
    DELETING = "deleting"
    DELETED = "deleted"


class ShellNow(StrEnum):
    """How the shell stands."""

    READY = "ready"
    ON_ITS_WAY = "on_its_way"
    FAILED = "failed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Now:
    """A workspace's states. `awake_since` where it is awake; `sleeps_at` where it will sleep if nobody uses it."""

    state: State
    shell: ShellNow
    awake_since: datetime | None
    sleeps_at: datetime | None


def state_of(workspace: Workspace, runtime: Runtime) -> State:
    """The state of the whole."""
    if workspace.wanted == Presence.DELETED:
        return State.DELETED if workspace.removed_at else State.DELETING
    if runtime.wanted == Power.AWAKE:
        if runtime.observed == Observed.AWAKE:
            return State.AWAKE
        return State.FAILED if runtime.observed == Observed.FAILED else State.WAKING
    if runtime.observed in {Observed.AWAKE, Observed.STARTING, Observed.STOPPING}:
        return State.FALLING_ASLEEP
    if workspace.wanted == Presence.ARCHIVED:
        return State.ARCHIVED
    return State.FAILED if runtime.observed == Observed.FAILED else State.ASLEEP


def now_of(workspace: Workspace, shell: Shell, runtime: Runtime) -> Now:
    """All of them."""
    state = state_of(workspace, runtime)
    awake = state is State.AWAKE
    return Now(
        state,
        _shell(shell),
        runtime.observed_at if awake else None,
        runtime.sleep_at if awake else None,
    )


def _shell(shell: Shell) -> ShellNow:
    if not shell.wanted:
        return ShellNow.CLOSED
    if shell.observed == ShellState.READY:
        return ShellNow.READY
    return ShellNow.FAILED if shell.observed == ShellState.FAILED else ShellNow.ON_ITS_WAY
