"""What is asked before and while a service starts."""

import errno
import socket
from collections.abc import Sequence

from envforge_daemon.apart import in_own_thread
from envforge_daemon.isolation import Wall, Workspace, network
from envforge_daemon.isolation.enter import enter_network
from envforge_protocol.host.runtimes import Blocker, Check, Service


def check_of(service: Service) -> Check | None:
    """How the service's health is asked for: as its contract says, else by its first port; None where it has neither."""
    if service.health:
        return service.health
    return Check(kind="tcp", port=service.ports[0].port) if service.ports else None


async def port_taken(workspace: Workspace, service: Service) -> Blocker | None:
    """Whether something in the workspace has one of the service's ports already; it would answer in its place."""
    wanted = [port.port for port in service.ports]
    for port in await taken(workspace, wanted) if wanted else ():
        reason = f"Port {port} is in use by another program of this workspace. Stop it, and wake the runtime again."
        return Blocker(service=service.name, at="port", reason=reason)
    return None


async def taken(workspace: Workspace, ports: Sequence[int]) -> list[int]:
    """Those of the TCP ports that a program of the workspace's namespace has. To list all who listen would take as long as all else."""
    inside = (
        str(network.path(workspace.config, workspace.uid)) if Wall.NAMESPACES in workspace.walls else None
    )

    def look() -> list[int]:
        # A namespace belongs to a thread.
        if inside:
            enter_network(inside)
        return [port for port in ports if not _can_be_bound(port)]

    return await in_own_thread(look)


def _can_be_bound(port: int) -> bool:
    """For every address, as far as the kernel has both kinds; one whose last connections are not forgotten yet can."""
    try:
        tried = socket.socket(socket.AF_INET6)
    except OSError:
        tried = socket.socket(socket.AF_INET)
    with tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if tried.family == socket.AF_INET6:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            tried.bind(("", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True
