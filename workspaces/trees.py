"""How the working trees lie when a wake begins: asked of the shell's VM, since they may hold another contract by now (W2)."""

from datetime import datetime, timedelta

from workspaces.beats import read_contracts
from workspaces.models import Checkout, Runtime, Shell, ShellState

# Where the shell's VM does not tell within this how the trees lie, what was told last counts.
READ_WITHIN = timedelta(seconds=30)


def ask(runtime: Runtime) -> None:
    """Have them read for a locked runtime's wake that begins in this transaction: the VM reads while a worker finds room.

    Only a shell that is there is asked; whatever else is so, the reconciler sees to it.
    """
    shell = Shell.objects.filter(workspace=runtime.workspace, observed=ShellState.READY).first()
    if shell is not None and Checkout.objects.filter(workspace=runtime.workspace).exists():
        _ask(runtime, shell)


def are_known(runtime: Runtime, shell: Shell, *, asked_at: datetime, now: datetime) -> bool:
    """Whether they were read since the wake was asked for, or nobody tells; has them read if not."""
    older = Checkout.objects.filter(workspace=runtime.workspace, seen_at__lt=asked_at)
    if not older.exists() or now - asked_at > READ_WITHIN or shell.host_id is None:
        return True
    _ask(runtime, shell)
    return False


def _ask(runtime: Runtime, shell: Shell) -> None:
    if shell.host_id is not None:
        key = f"read/{runtime.workspace_id}/{runtime.epoch}"
        read_contracts(runtime.workspace, shell.host_id, key=key, cause=runtime.wanted_cause)
