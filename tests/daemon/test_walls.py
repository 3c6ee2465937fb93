"""Customers' code against the walls of a VM, in real namespaces (THREATS H1, H2, H3)."""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import firewall
from tests.daemon.machine import SMALL, Machine, left_running, sh
from tests.daemon.rig import until

Play = Callable[..., None]


def reaches(address: str, port: int) -> str:
    return f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}' 2>/dev/null && echo reached || echo walled"


@contextlib.contextmanager
def listening(address: str) -> Iterator[int]:
    """A server of the VM itself, as metadata, control plane or the daemon would be."""
    with socket.create_server((address, 0)) as server:
        stop = threading.Event()
        server.settimeout(0.1)

        def accept() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    server.accept()[0].close()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


# H1


def test_h1_metadata_and_host_api_are_out_of_reach(behind_walls: Play) -> None:
    """H1: from the namespace and from the VM's own network, as shell and as service."""
    address = own_address()
    with listening(address) as control, listening("127.0.0.1") as metadata:

        async def scene(vm: Machine) -> None:
            one = await vm.workspace()
            for account in (0, 1):
                ran = await sh(one, reaches(address, control), account=account)
                assert ran.output == b"walled\n", ran
                for port, where in ((control, address), (metadata, "127.0.0.1")):
                    ran = await one.run(("bash", "-c", reaches(where, port)), account=account, network="vm")
                    assert ran.output == b"walled\n", ran
            for closed in ("169.254.169.254", "fd00:ec2::254"):
                assert (await sh(one, reaches(closed, 80))).output == b"walled\n"

        behind_walls(
            scene,
            control_plane=f"http://{address}:{control}",
            metadata_endpoint=f"http://127.0.0.1:{metadata}",
        )


def test_h1_nobody_but_root_speaks_nfs(behind_walls: Play) -> None:
    """H1, H3: a server believes an NFS client's word for whose files it wants, so customers' code gets to none."""
    address = own_address()
    with contextlib.ExitStack() as stack:
        for where, port in ((address, firewall.NFS_PORT), ("127.0.0.1", firewall.TUNNEL_PORT)):
            server = stack.enter_context(socket.create_server((where, port)))
            server.setblocking(False)

        async def scene(vm: Machine) -> None:
            one = await vm.workspace()
            assert (await sh(one, reaches(address, firewall.NFS_PORT))).output == b"walled\n"
            for where, port in ((address, firewall.NFS_PORT), ("127.0.0.1", firewall.TUNNEL_PORT)):
                ran = await one.run(("bash", "-c", reaches(where, port)), account=1, network="vm")
                assert ran.output == b"walled\n", ran
                socket.create_connection((where, port), timeout=3).close()

        behind_walls(scene)


def test_h1_nfs_is_closed_in_networks_that_are_open_otherwise(place: Path) -> None:
    """H1: a private network that customers' code may reach has the organization's file system in it, perhaps."""
    config = Machine.configured(place, open_networks=["10.0.0.0/8"])
    written = firewall.ruleset(config, [])
    forward = written[written.index("chain forward") : written.index("chain output")]
    assert forward.index(f"dport {firewall.NFS_PORT} reject") < forward.index("@opened4 accept")


def test_h1_nothing_starts_where_the_probe_gets_through(behind_walls: Play) -> None:
    """H1: the firewall is asked, not believed: without its rules no workspace comes to be."""
    with listening("127.0.0.1") as control:

        async def scene(vm: Machine) -> None:
            wire = vm.wire("main")
            await firewall.remove(vm.config)
            with pytest.raises(IsolationError, match=f"reached 127.0.0.1 port {control}"):
                await vm.workspaces.ensure(wire)
            await firewall.replace(vm.config)
            await vm.workspaces.ensure(wire)

        behind_walls(scene, control_plane=f"http://127.0.0.1:{control}")


def test_h1_the_vms_own_ports_are_out_of_reach(behind_walls: Play) -> None:
    """H1: the daemon's, and whatever else listens on the VM."""
    address = own_address()
    with listening("0.0.0.0") as port:  # noqa: S104 - what the walls must hold against

        async def scene(vm: Machine) -> None:
            one = await vm.workspace()
            assert one.address is not None
            for where in (address, str(one.address - 1), "127.0.0.1"):
                assert (await sh(one, reaches(where, port))).output == b"walled\n", where

        behind_walls(scene)


# H3


def test_h3_two_workspaces_bind_one_port_and_do_not_meet(behind_walls: Play) -> None:
    """H3: port 3000 twice, on loopback and on every address; neither reaches the other."""

    async def scene(vm: Machine) -> None:
        one, two = await vm.workspace("one"), await vm.workspace("two")
        for workspace in (one, two):
            name = str(workspace.uid)
            await left_running(
                workspace,
                f"cd /tmp && echo {name} > index.html && exec python3 -m http.server --bind 0.0.0.0 3000",
                account=1,
                group="service-web",
            )
        ask = "for i in $(seq 50); do curl -s http://127.0.0.1:3000/index.html && break; sleep 0.1; done"
        for workspace in (one, two):
            assert (await sh(workspace, ask)).output.decode().strip() == str(workspace.uid)
        assert (await sh(one, reaches(str(two.address), 3000))).output == b"walled\n"
        assert (await sh(two, reaches(str(one.address), 3000))).output == b"walled\n"

    behind_walls(scene)


def test_h3_neighbours_processes_are_invisible(behind_walls: Play) -> None:
    """H3: not their numbers, not their environment, not their files in /tmp; not those of the VM either."""

    async def scene(vm: Machine) -> None:
        one, two = await vm.workspace("one"), await vm.workspace("two")
        secret = await one.spawn(
            ("bash", "-c", "echo mine > /tmp/mine; chmod 644 /tmp/mine; sleep 60"),
            group="service-web",
            account=1,
            env=one.environment(1) | {"SECRET": "value"},
        )
        pid = secret.process.pid
        look = f"ls /proc/{pid}; cat /proc/{pid}/environ; kill -9 {pid}; ls /tmp; ps -eo uid= | sort -u"
        for neighbour, account in ((two, 1), (one, 2)):
            ran = await sh(neighbour, look, account=account)
            assert b"SECRET" not in ran.output
            assert b"mine" not in ran.output
            assert ran.output.decode().split()[-1] == str(neighbour.uid + account)
        assert secret.process.lives()

    behind_walls(scene)


def test_h3_neighbours_files_cannot_be_opened(behind_walls: Play) -> None:
    """H3: another workspace's tree is not even there; the VM's state is closed."""

    async def scene(vm: Machine) -> None:
        one, two = await vm.workspace("one"), await vm.workspace("two")
        await one.write_file("app/secret.txt", b"one's")
        ran = await sh(
            two, f"cat {one.directory}/app/secret.txt; ls {vm.config.state_dir}/accounts {vm.config.run_dir}"
        )
        assert b"one's" not in ran.output
        assert b"secret" not in ran.output.replace(b"secret.txt: ", b"")
        assert (await sh(one, "cat app/secret.txt")).output == b"one's", (
            "a service of the workspace may read it"
        )

    behind_walls(scene)


def test_code_has_no_privileges_to_gain(behind_walls: Play) -> None:
    """Set-uid programs give nothing, no core is dumped, and the names of accounts are the workspace's own."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace("acme-main")
        ran = await sh(
            one, "grep -E 'NoNewPrivs|CapEff' /proc/self/status; sudo -n id; whoami; grep -c . /etc/passwd"
        )
        assert b"NoNewPrivs:\t1" in ran.output
        assert b"CapEff:\t0000000000000000" in ran.output
        assert b"uid=0" not in ran.output
        assert b"acme-main-1\n" in ran.output
        assert (await sh(one, "cd /tmp && (kill -SEGV $BASHPID); ls /tmp")).output.count(b"core") == 0

    behind_walls(scene)


# Limits


def test_a_fork_bomb_ends_at_its_limit(behind_walls: Play) -> None:
    """H3: one service's processes are counted together, and ended together however fast they fork."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        bomb = await one.spawn(
            ("bash", "-c", "f() { f | f & }; while true; do f; done"),
            group="service-bomb",
            account=1,
            env=one.environment(1),
            limits=SMALL,
        )
        await asyncio.sleep(1)
        assert len(one.group("service-bomb").processes()) <= SMALL.processes
        assert (await sh(one, "echo still here", account=2)).output == b"still here\n"
        assert await one.kill_all("service-bomb") > 0
        assert one.groups("service-*") == []
        assert not bomb.process.lives()
        await bomb.wait()

    behind_walls(scene)


def test_a_memory_hog_is_ended_and_nobody_else(behind_walls: Play) -> None:
    """H3: beyond its limit a service is killed; its neighbour does not notice."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        neighbour = await left_running(one, "sleep 60", account=2, group="service-quiet")
        ran = await sh(one, "exec python3 -c 'x = bytearray(300 << 20)'", limits=SMALL)
        assert ran.exit_status == 137
        assert neighbour.process.lives()

    behind_walls(scene)


# H2


def test_h2_root_follows_no_link(behind_walls: Play, place: Path) -> None:
    """H2: planted links, pipes and directories lead neither reads nor writes nor deletion elsewhere."""
    outside = place / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    (outside / "kept").write_text("the VM's")

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        await sh(
            one,
            f"ln -s /etc/shadow envforge.yml; ln -s {outside} app; mkfifo pipe; ln -s {outside}/kept kept;"
            f"mkdir deep && ln -s {outside} deep/out; truncate -s 1G large",
            account=0,
        )
        for name in ("envforge.yml", "app/kept", "pipe", "kept", "large"):
            with pytest.raises(IsolationError):
                await one.read_file(name, limit=65536)
        assert await one.read_file("nothing", limit=10) is None
        assert await one.read_file("no/where", limit=10) is None
        with pytest.raises(IsolationError):
            await one.write_file("app/new", b"x")
        with pytest.raises(IsolationError):
            await one.write_file("../escaped", b"x")
        await one.write_file("kept", b"own")
        assert (outside / "kept").read_text() == "the VM's"
        await vm.workspaces.remove(one.wire, delete_files=True)
        assert not one.directory.exists()
        assert [file.name for file in outside.iterdir()] == ["kept"]

    behind_walls(scene)


ROOT = "\t0\t0\t0\t0"


def threads() -> list[str]:
    """What the kernel says of this program's threads that have not ended meanwhile."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.append((task / "status").read_text())
    return found


def test_h2_a_file_is_read_with_the_accounts_access_and_no_more(behind_walls: Play) -> None:
    """H2: what root may read and the account may not stays unread, also what only a group of root's may; this program stays root."""

    async def scene(vm: Machine) -> None:
        one, other = await vm.workspace("one"), await vm.workspace("other")
        await sh(one, "echo mine > own.txt; mkdir closed", account=0)
        (one.directory / "own.txt").chmod(0o400)
        for owner, group, mode in ((0, 0, 0o640), (other.uid, other.uid, 0o660)):
            secret = one.directory / "closed" / f"of-{owner}.txt"
            secret.write_text("not for it")
            secret.chmod(mode)
            os.chown(secret, owner, group)
            with pytest.raises(IsolationError, match="cannot be read"):
                await one.read_file(f"closed/{secret.name}", limit=100)
        (one.directory / "closed").chmod(0o700)
        os.chown(one.directory / "closed", 0, 0)
        with pytest.raises(IsolationError, match="cannot be read"):
            await one.read_file("closed/anything", limit=100)
        assert await one.read_file("own.txt", limit=100) == b"mine\n"
        await until(lambda: all(f"\nUid:{ROOT}\nGid:{ROOT}\n" in status for status in threads()))

    behind_walls(scene)


def test_h2_a_directory_of_somebody_else_is_refused(behind_walls: Play) -> None:
    """H2: what lies where a workspace's files should be, and is not its own, is left alone."""

    async def scene(vm: Machine) -> None:
        vm.config.files_root.mkdir(mode=0o711)
        planted = vm.config.files_root / "main"
        planted.mkdir()
        os.chown(planted, 4242, 4242)
        with pytest.raises(IsolationError, match="belongs to another account"):
            await vm.workspace("main")
        planted.rmdir()
        planted.symlink_to("/etc")
        with pytest.raises(IsolationError):
            await vm.workspace("main")

    behind_walls(scene)
