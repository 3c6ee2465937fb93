"""VMs that belong to one organization, and what stands on them."""

from hosts.models.machines import (
    Host,
    HostRole,
    Mend,
    Observed,
    Orphan,
    Placement,
    PlacementPolicy,
    Power,
    Size,
    Slot,
    WorkspaceFiles,
)

__all__ = [
    "Host",
    "HostRole",
    "Mend",
    "Observed",
    "Orphan",
    "Placement",
    "PlacementPolicy",
    "Power",
    "Size",
    "Slot",
    "WorkspaceFiles",
]
