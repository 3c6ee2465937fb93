"""The way from the gateways into a namespace (THREATS H3)."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

import pytest

from envforge_daemon import ingress
from envforge_daemon.errors import IsolationError
from envforge_daemon.ingress import Ingress, Route
from envforge_daemon.isolation import Wall, Workspace, carrier
from envforge_daemon.isolation.processes import Started
from tests.daemon.machine import Machine, next_port

Play = Callable[..., None]

# Answers each connection with its name and whatever it is sent, once the sender has said all (half-close).
ECHO = """
import asyncio, sys
async def answer(reader, writer):
    writer.write(sys.argv[2].encode() + b":")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
async def main():
    server = await asyncio.start_server(answer, sys.argv[3], int(sys.argv[1]), reuse_address=True)
    await server.serve_forever()
asyncio.run(main())
"""


async def echo(
    workspace: Workspace, port: int, name: str, *, account: int = 1, host: str = "127.0.0.1"
) -> Started:
    return await workspace.spawn(
        ("python3", "-c", ECHO, str(port), name, host),
        group=f"service-{name}",
        account=account,
        env=workspace.environment(account),
    )


async def end(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def ask(port: int, sent: bytes = b"") -> bytes:
    """What comes back until the other side ends; empty where it is cut."""
    for _ in range(100):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
            continue
        try:
            writer.write(sent)
            await writer.drain()
            writer.write_eof()
            return await reader.read(-1)
        except ConnectionError:
            return b""
        finally:
            await end(writer)
    raise AssertionError("the ingress port never opened")


async def ask_until(port: int, expected: bytes) -> None:
    for _ in range(100):
        if await ask(port) == expected:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"port {port} never answered {expected!r}")


def test_h3_one_port_of_the_vm_for_each_service_port(behind_walls: Play) -> None:
    """H3: two workspaces bind 3000 on their own loopback; each is reached by its own ingress port."""

    async def scene(vm: Machine) -> None:
        ingress = Ingress(vm.config, vm.workspaces)
        one, two = await vm.workspace("one"), await vm.workspace("two")
        ports = {one: next_port(), two: next_port()}
        for workspace, port in ports.items():
            await echo(workspace, 3000, workspace.wire.slug)
            await ingress.set(workspace, [Route(port, 3000, 1)])
        for workspace, port in ports.items():
            await ask_until(port, f"{workspace.wire.slug}:".encode())
        large = os.urandom(3_000_000)
        assert await ask(ports[one], large) == b"one:" + large, "whole, in order, after half-close"

    behind_walls(scene)


def test_h3_a_neighbour_cannot_take_a_crashed_services_port(behind_walls: Play) -> None:
    """H3: within the namespace too: what listens must be the service's own account, else the connection is cut."""

    async def scene(vm: Machine) -> None:
        ingress = Ingress(vm.config, vm.workspaces)
        one = await vm.workspace()
        port = next_port()
        service = await echo(one, 3000, "web", account=1)
        await ingress.set(one, [Route(port, 3000, 1)])
        await ask_until(port, b"web:")
        await one.kill_all("service-web")
        await service.wait()
        await echo(one, 3000, "thief", account=2)
        for _ in range(100):
            with contextlib.suppress(OSError):
                (await ingress.connect(one, 3000)).close()
                break
            await asyncio.sleep(0.05)
        assert await ask(port) == b""
        with pytest.raises(PermissionError):
            await ingress.connect(one, 3000, account=1)
        (await ingress.connect(one, 3000, account=2)).close()

    behind_walls(scene)


def test_only_gateways_are_let_in(on_a_vm: Play) -> None:
    """Another address than a configured gateway's is cut before the service sees anything."""

    async def scene(vm: Machine) -> None:
        ingress = Ingress(vm.config, vm.workspaces)
        one = await vm.workspace()
        port = next_port()
        await echo(one, 3000 if Wall.NAMESPACES in vm.walls else (inner := next_port()), "web")
        await ingress.set(one, [Route(port, 3000 if Wall.NAMESPACES in vm.walls else inner, 1)])
        await asyncio.sleep(1)
        assert await ask(port) == b""
        await ingress.close(one.wire)

    on_a_vm(scene, gateway_addresses=["203.0.113.0/24"])


def test_connections_outlive_the_daemon_and_a_dead_carrier_is_replaced(behind_walls: Play) -> None:
    """A new run of the program finds the carrier with its connections; one that was killed is there again within a second."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        port = next_port()
        await echo(one, 3000, "web")
        first = Ingress(vm.config, vm.workspaces)
        await first.set(one, [Route(port, 3000, 1)])
        await ask_until(port, b"web:")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readexactly(4) == b"web:"

        second = Ingress(vm.config, vm.workspaces)
        (carrying,) = one.group("carrier").processes()
        await second.set(one, [Route(port, 3000, 1)])
        assert one.group("carrier").processes() == [carrying]
        writer.write(b"still")
        assert await reader.readexactly(5) == b"still"

        looking = asyncio.create_task(second.look_after())
        os.kill(carrying, signal.SIGKILL)
        await asyncio.sleep(1.5)
        await ask_until(port, b"web:")
        await end(writer)
        await second.set(one, [])
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        looking.cancel()
        assert await second.close(one.wire) == 0

    behind_walls(scene)


def test_closing_cuts_what_is_open(behind_walls: Play) -> None:
    """A withdrawn route ends its connections at once, and says how many."""

    async def scene(vm: Machine) -> None:
        ingress = Ingress(vm.config, vm.workspaces)
        one = await vm.workspace()
        port = next_port()
        await echo(one, 3000, "web")
        await ingress.set(one, [Route(port, 3000, 1)])
        await ask_until(port, b"web:")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readexactly(4)
        assert await ingress.close(one.wire) == 1
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        await end(writer)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    behind_walls(scene)


def test_g2_a_resting_carrier_leads_nowhere_and_ends_in_time(
    behind_walls: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G2: asleep, what was open is cut and nobody is let in; a wake takes the same carrier, and one nobody wakes ends."""

    async def scene(vm: Machine) -> None:
        ways = Ingress(vm.config, vm.workspaces)
        one = await vm.workspace()
        port = next_port()
        await echo(one, 3000, "web")
        await ways.set(one, [Route(port, 3000, 1)])
        await ask_until(port, b"web:")
        (carrying,) = one.group("carrier").processes()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.readexactly(4)
        assert await ways.rest(one.wire) == 1
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        await end(writer)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

        await ways.set(one, [Route(port, 3000, 1)])
        await ask_until(port, b"web:")
        assert one.group("carrier").processes() == [carrying]
        looking = asyncio.create_task(ways.look_after())
        monkeypatch.setattr(ingress, "RESTS_S", 0.0)
        await ways.rest(one.wire)
        async with asyncio.timeout(10):
            while one.group("carrier").processes():  # noqa: ASYNC110 - the carrier ends by itself
                await asyncio.sleep(0.05)
        looking.cancel()
        assert await ways.rest(one.wire) == 0

    behind_walls(scene)


def test_a_carrier_that_does_not_answer_is_closed_all_the_same(
    behind_walls: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left alone it would go on listening, and lead to whatever the workspace runs next."""
    monkeypatch.setattr("envforge_daemon.ingress.ANSWERS_WITHIN_S", 0.3)

    async def scene(vm: Machine) -> None:
        ways = Ingress(vm.config, vm.workspaces)
        one = await vm.workspace()
        port = next_port()
        await echo(one, 3000, "web")
        await ways.set(one, [Route(port, 3000, 1)])
        await ask_until(port, b"web:")
        for pid in one.group("carrier").processes():
            os.kill(pid, signal.SIGSTOP)
        await ways.close(one.wire)
        assert one.group("carrier").processes() == []
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    behind_walls(scene)


def test_a_slow_reader_holds_the_sender_back(behind_walls: Play) -> None:
    """Back-pressure: bytes nobody takes pile up on neither side of the VM."""

    async def scene(vm: Machine) -> None:
        ingress = Ingress(vm.config, vm.workspaces)
        one = await vm.workspace()
        port = next_port()
        await echo(one, 3000, "web")
        await ingress.set(one, [Route(port, 3000, 1)])
        await ask_until(port, b"web:")
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.transport.set_write_buffer_limits(high=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3):
                for _ in range(64):
                    writer.write(bytes(1 << 20))
                    await writer.drain()
        writer.transport.abort()

    behind_walls(scene)


def test_a_port_outside_of_the_range_is_refused(on_a_vm: Play) -> None:
    """The control plane names only ports that the network's rules let gateways reach."""

    async def scene(vm: Machine) -> None:
        ingress = Ingress(vm.config, vm.workspaces)
        one = await vm.workspace()
        with pytest.raises(IsolationError, match="none of this VM's ingress ports"):
            await ingress.set(one, [Route(8080, 3000, 1)])

    on_a_vm(scene)


def test_who_listens_is_told_the_same_by_both_ways() -> None:
    """H3: sock_diag and /proc/net/tcp, for IPv4, IPv6 and both in one socket; nobody where nobody listens."""
    for family, address, answered in (
        (socket.AF_INET, "127.0.0.1", (socket.AF_INET,)),
        (socket.AF_INET6, "::1", (socket.AF_INET6,)),
        (socket.AF_INET6, "::", (socket.AF_INET, socket.AF_INET6)),
    ):
        with socket.create_server((address, 0), family=family, dualstack_ipv6=address == "::") as server:
            port = server.getsockname()[1]
            for asked in (socket.AF_INET, socket.AF_INET6):
                expected = {os.getuid()} if asked in answered else set()
                assert carrier.listeners(asked, port) == expected
                assert carrier._listeners_in_proc(asked, port) == expected
        assert carrier.listeners(family, port) == set()
