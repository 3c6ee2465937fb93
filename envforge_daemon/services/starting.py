"""What is asked before and while a service starts."""

import asyncio
import threading
from pathlib import Path

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
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[set[int]] = loop.create_future()

    def settle(found: set[int] | OSError) -> None:
        if answer.cancelled():
            return
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def look() -> None:
        # A namespace belongs to a thread: this one enters it, and ends.
        try:
            if inside:
                enter_network(inside)
            found: set[int] | OSError = _ports(Path("/proc/thread-self/net"))
        except OSError as error:
            found = error
        loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=look, daemon=True).start()
    return await answer


def _ports(tables: Path) -> set[int]:
    found = set()
    for table in ("tcp", "tcp6"):
        for row in (tables / table).read_text().splitlines()[1:]:
            _, local, _, state, *_ = row.split()
            if state == LISTENING:
                found.add(int(local.rpartition(":")[2], 16))
    return found
