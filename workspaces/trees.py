"""How the working trees of a wake lie: what its VM is told they hold, and has to find before it starts anything (W2)."""

from datetime import timedelta

from envforge_protocol.host.runtimes import Tree
from workspaces.beats import read_contracts
from workspaces.contracts import Contracts
from workspaces.models import Runtime, Shell, ShellState, Wake

# A tree that changes at each look is not followed for ever: then the wake starts by what was told last.
MOST_CHANGES = 4
LOOKED_AT_AFTER = timedelta(seconds=5)


def as_told(contracts: Contracts, wake: Wake) -> tuple[Tree, ...]:
    """What the contracts of a wake were chosen by; its VM starts nothing while a tree holds another one."""
    if wake.trees_changed >= MOST_CHANGES:
        return ()
    repositories = [*(one.repository for one in contracts.contracts), *contracts.without]
    return tuple(
        Tree(directory=one.name, contract_digest=contracts.trees[one.id].contract_digest)
        for one in repositories
        if one.id in contracts.trees
    )


def look_again(runtime: Runtime) -> None:
    """Have the shell's VM tell of all trees once more for a locked runtime that is awake: branch and commit stand on pages."""
    shell = Shell.objects.filter(workspace=runtime.workspace, observed=ShellState.READY).first()
    if shell is not None and shell.host_id is not None:
        key = f"read/{runtime.workspace_id}/{runtime.epoch}"
        read_contracts(runtime.workspace, shell.host_id, key=key, cause=runtime.wanted_cause)
