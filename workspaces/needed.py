"""What a wake takes: chosen for the workspace, else the largest that its contracts ask for (W1, W8)."""

from collections.abc import Iterable

from envforge_protocol.contract import Contract
from hosts.models import Size
from hosts.sizes import SLOT_UNITS
from workspaces.models import Workspace

# What counts where no contract says anything.
IDLE_TIMEOUT_S = 1800


def size_of(workspace: Workspace, contracts: Iterable[Contract]) -> Size:
    """The size of the runtime's next wake."""
    if workspace.size:
        return Size(workspace.size)
    asked = [Size(one.runtime.size) for one in contracts]
    return max(asked, key=lambda size: SLOT_UNITS[size], default=Size.SMALL)


def idle_timeout_of(workspace: Workspace, contracts: Iterable[Contract]) -> int:
    """After how many seconds without activity it falls asleep."""
    asked = [one.runtime.idle_sleep_s for one in contracts]
    return workspace.idle_timeout_s or max(asked, default=IDLE_TIMEOUT_S)
