"""Sizes in units: how much room a workspace takes, and how much a VM has (W8).

A runtime VM holds as many units as a runtime of its size takes; shells wait more than they work, so a shell VM holds more.
"""

from collections.abc import Mapping

from hosts.models import HostRole, Size

SLOT_UNITS: Mapping[Size, int] = {Size.SMALL: 1, Size.MEDIUM: 2, Size.LARGE: 4}
_SHELLS_A_UNIT = 4
# VMs that several workspaces share are not made smaller than this.
SHARED_SIZE = {HostRole.SHELL: Size.SMALL, HostRole.RUNTIME: Size.LARGE}


def room_of(role: str, size: str) -> int:
    """How many units of workspaces a VM holds."""
    units = SLOT_UNITS[Size(size)]
    return units * _SHELLS_A_UNIT if role == HostRole.SHELL else units


def units_of(role: str, size: str) -> int:
    """How many units a workspace takes on a VM of a role; a shell takes one, whatever size its runtime has."""
    return 1 if role == HostRole.SHELL else SLOT_UNITS[Size(size)]


def size_of_new_host(role: str, size: str, *, dedicated: bool) -> Size:
    """The size of a VM that is made for a workspace: its own for one alone, larger for one that others will share."""
    wanted = Size(size) if role == HostRole.RUNTIME else Size.SMALL
    if dedicated:
        return wanted
    return max(wanted, SHARED_SIZE[HostRole(role)], key=lambda one: SLOT_UNITS[one])
