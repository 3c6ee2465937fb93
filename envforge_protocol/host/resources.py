"""Resources in mode "managed local": real servers that the VM runs for one workspace, inside its namespace (W3).

Their passwords are made on the VM and stay there. A text of a service's environment names a property as
`${resources.NAME.PROPERTY}`, NAME as in the service's contract, and the VM puts the value in its place.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from envforge_protocol.contract.resources import ResourceType
from envforge_protocol.host.base import Label, Message
from envforge_protocol.host.limits import Health, Limits

# Each resource owns so many ports of its workspace's namespace, beginning with its own; most servers need one of them.
PORTS_PER_RESOURCE = 10
# Below the ports that the kernel gives to outgoing connections.
FIRST_PORT, LAST_PORT = 25_000, 27_999

# A resource as a contract names it.
ContractName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Resource(Message):
    """One server of a workspace.

    `name` is unique in the workspace and names its data: under another name it begins empty. `account` is one of the
    workspace's accounts and nobody else's (THREATS H3); its data belongs to it, so it stays the same for as long as the
    data is kept. `port`: see `assign_ports`. `version` is what the contract asks for; None takes a current one. `data` numbers what
    is to lie there: where that has a lower number, its owner has asked for it to be deleted, which is done before it starts. `data_seen` is
    the number that was told last, for a VM that finds data of which it knows nothing.
    """

    name: Label
    type: ResourceType
    version: Annotated[str, Field(pattern=r"^[0-9]{1,4}(?:\.[0-9]{1,4}){0,2}$")] | None = None
    account: int = Field(ge=1, le=15)
    port: int = Field(ge=1024, le=65535 - PORTS_PER_RESOURCE + 1)
    ready_within_s: float = Field(default=60.0, gt=0, le=3600)
    limits: Limits
    data: int = Field(default=0, ge=0)
    data_seen: int = Field(default=0, ge=0)


class ResourceReadiness(Message):
    """How one resource came up; `version` is the server's own. `data` is the number of what lies there now; None where it was not reached."""

    name: Label
    type: ResourceType
    version: str
    health: Health
    ready_ms: int | None
    data: int | None = None


class ResourceState(Message):
    """One resource, now."""

    workspace_id: UUID
    epoch: int
    name: Label
    type: ResourceType
    health: Health
    since: datetime
    restarts: int = 0


def assign_ports(names: Iterable[str], taken: Collection[int]) -> dict[str, int]:
    """A port for each resource of a workspace: the same for the same names, and never one that a service has.

    Args:
        names: of all resources of the workspace, in any order.
        taken: ports of the workspace's services.

    Raises:
        ValueError: there are more resources than ports.
    """
    blocks = (
        first
        for first in range(FIRST_PORT, LAST_PORT - PORTS_PER_RESOURCE + 2, PORTS_PER_RESOURCE)
        if not any(port in taken for port in range(first, first + PORTS_PER_RESOURCE))
    )
    assigned = {}
    for name in sorted(set(names)):
        port = next(blocks, None)
        if port is None:
            raise ValueError("There are more resources than ports for them.")
        assigned[name] = port
    return assigned
