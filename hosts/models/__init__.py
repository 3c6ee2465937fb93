"""VMs that belong to one organization, and what stands on them."""

from hosts.choices import HostRole, Size
from hosts.models.commands import HostCommand, HostReport
from hosts.models.machines import (
    Host,
    Mend,
    Observed,
    Orphan,
    Placement,
    PlacementPolicy,
    Power,
    Slot,
)
from hosts.models.places import DataVolume, Place, WorkspaceFiles
from hosts.models.speaking import HostToken, HostVoice, SpentNonce

__all__ = [
    "DataVolume",
    "Host",
    "HostCommand",
    "HostReport",
    "HostRole",
    "HostToken",
    "HostVoice",
    "Mend",
    "Observed",
    "Orphan",
    "Place",
    "Placement",
    "PlacementPolicy",
    "Power",
    "Size",
    "Slot",
    "SpentNonce",
    "WorkspaceFiles",
]
