"""VMs that belong to one organization, and what stands on them."""

from hosts.models.machines import Host, HostRole, Observed, Placement, Power, Size, Slot, WorkspaceFiles

__all__ = ["Host", "HostRole", "Observed", "Placement", "Power", "Size", "Slot", "WorkspaceFiles"]
