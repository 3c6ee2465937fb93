"""What is asked before and while a service starts."""

from pathlib import Path

from envforge_daemon.apart import in_own_thread
from envforge_daemon.isolation import Wall, Workspace, network
from envforge_daemon.isolation.enter import enter_network
from envforge_protocol.host.runtimes import Blocker, Check, Service

LISTENING = "0A"


def check_of(service: Service) -> Check | None:
    """How the service's health is asked for: as its contract says, else by its first port; None where it has neither."""
    if service.health:
        return service.health
    return Check(kind="tcp", port=service.ports[0].port) if service.ports else None


async def port_taken(workspace: Workspace, service: Service) -> Blocker | None:
    """Whether something in the workspace listens on one of the service's ports already; it would answer in its place."""
    taken = await listening(workspace) if service.ports else set()
    for port in service.ports:
        if port.port in taken:
            reason = (
                f"Port {port.port} is in use by another program of this workspace. "
                "Stop it, and wake the runtime again."
            )
            return Blocker(service=service.name, at="port", reason=reason)
    return None


async def listening(workspace: Workspace) -> set[int]:
    """The TCP ports on which something in the workspace's namespace listens."""
    inside = (
        str(network.path(workspace.config, workspace.uid)) if Wall.NAMESPACES in workspace.walls else None
    )

    def look() -> set[int]:
        if inside:
            enter_network(inside)
        return _ports(Path("/proc/thread-self/net"))

    return await in_own_thread(look)


def _ports(tables: Path) -> set[int]:
    found = set()
    for table in ("tcp", "tcp6"):
        for row in (tables / table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = row.split()
            if state == LISTENING:
                found.add(int(local.rpartition(":")[2], 16))
    return found
