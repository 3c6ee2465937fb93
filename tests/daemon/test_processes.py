"""Lives of a workspace's processes: what they are given, how they end, and what is left of them."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import Wall, Walls, Workspaces, firewall, leftovers, network
from tests.daemon.machine import Machine, left_running, sh

Play = Callable[..., None]


def test_removal_leaves_nothing_and_keeps_files(behind_walls: Play) -> None:
    """Namespace, wire, groups and private directories go; the files stay unless they are to be deleted."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        await one.write_file("app/work.txt", b"uncommitted")
        await sh(one, "echo x > ~/.profile", account=0)
        running = await left_running(one, "trap '' TERM; sleep 600", account=1, group="service-web")
        assert await vm.workspaces.remove(one.wire) >= 1
        await running.wait()
        assert network.known(vm.config) == []
        assert one.groups() == []
        assert not (vm.config.state_dir / "accounts" / str(one.uid)).exists()
        again = await vm.workspaces.ensure(one.wire)
        assert await again.read_file("app/work.txt", limit=100) == b"uncommitted"
        assert (await sh(again, "cat ~/.profile", account=0)).output == b"x\n"

    behind_walls(scene)


def test_what_a_dead_owner_left_is_swept(behind_walls: Play) -> None:
    """A VM of the local cloud whose owner was killed: the next one on the machine ends what it left."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        running = await left_running(one, "sleep 600", account=1, group="service-web")
        owner = await asyncio.create_subprocess_exec("true")
        pid = owner.pid
        await owner.wait()
        file = leftovers.OWNERS / f"{vm.config.tag}.json"
        file.write_text(f'{{"pid": {pid}, "started": 1, "group": "{vm.config.group}"}}')
        assert vm.config.tag in await leftovers.sweep()
        await running.wait()
        assert network.known(vm.config) == []
        assert not await firewall.stands(vm.config)
        assert not one.group("").processes()

    behind_walls(scene)


def test_programs_get_exactly_their_environment(on_a_vm: Play) -> None:
    """Nothing of the daemon's environment or descriptors, and no value in anybody's arguments."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        ran = await one.run(
            ("/usr/bin/env", "bash", "-c", "env; exec ls /proc/self/fd"),
            env={"PATH": os.defpath, "A": "b c\n;"},
        )
        lines = ran.output.decode().splitlines()
        assert {line.split("=")[0] for line in lines if "=" in line} == {"PATH", "A", "PWD", "SHLVL", "_"}
        assert lines[-4:] == ["0", "1", "2", "3"], "the standard streams, and the directory that is listed"

    on_a_vm(scene)


def test_output_is_bounded_and_time_too(on_a_vm: Play) -> None:
    """A program that prints for ever, or never ends, costs what was allowed."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        ran = await one.run(("bash", "-c", "head -c 3000000 /dev/zero"), limit_bytes=1000)
        assert (ran.exit_status, len(ran.output), ran.truncated) == (0, 1000, True)
        ran = await one.run(("bash", "-c", "sleep 60 & sleep 60"), timeout_s=0.5)
        assert (ran.timed_out, ran.exit_status) == (True, 137)
        assert one.groups("run-*") == []
        with pytest.raises(IsolationError, match="no-such-program"):
            await one.run(("no-such-program",))

    on_a_vm(scene)


def test_without_walls_processes_and_files_work_all_the_same(place: Path) -> None:
    """A machine for development that can have no wall: what is missing is said, and groups are sessions."""

    async def scene() -> None:
        bare = Walls(frozenset(), dict.fromkeys(Wall, "the program does not run as root"))
        assert len(bare.sentences()) == len(Wall)
        vm = await Machine.start(place)
        try:
            one = await Workspaces(vm.config, bare).ensure(vm.wire("main"))
            running = await left_running(one, "sleep 600 & sleep 600", account=1, group="service-web")
            await asyncio.sleep(0.3)
            assert one.groups("service-*") == ["service-web"]
            assert await one.kill_all("service-*") >= 2
            await running.process.wait()
            await one.write_file("app/a.txt", b"a")
            assert await one.read_file("app/a.txt", limit=10) == b"a"
            await one.remove(delete_files=True)
            assert not one.directory.exists()
        finally:
            await vm.end()

    asyncio.run(scene())


def test_h1_required_walls_that_cannot_be_had_stop_the_program(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """H1: a VM without nftables runs nothing, and says what to install."""
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "nft" else which(name))
    with pytest.raises(IsolationError, match="may run no customer's code"):
        asyncio.run(Machine.start(place, walls="required"))
