"""Root windows with sudo for real (R3, THREATS H5)."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from envforge_daemon import isolation
from envforge_daemon.errors import CommandFailed
from envforge_protocol.host import commands as wire
from envforge_protocol.host.reports import RootEnded
from envforge_protocol.host.workspaces import Workspace
from tests.daemon.machine import Machine, next_port
from tests.daemon.rig import until
from tests.daemon.shells import Shelled, Terminal, in_s

Play = Callable[..., None]
pytestmark = pytest.mark.skipif(
    shutil.which("ssh") is None or shutil.which("sudo") is None,
    reason="openssh-client and sudo are not installed",
)


@pytest.fixture
def alone(behind_walls: Play) -> Play:
    """Runs a scene on a VM that one workspace has to itself."""

    def run(scene: Callable[[Shelled, Workspace], object]) -> None:
        mine = uuid4()

        async def play(vm: Machine) -> None:
            shell = await Shelled.start(vm)
            try:
                one = await shell.prepare(like=vm.wire("main").model_copy(update={"id": mine}))
                await scene(shell, one)  # type: ignore[misc]
            finally:
                await shell.stop()

        behind_walls(play, ssh_port=next_port(), dedicated_to=str(mine))

    return run


def grant(one: Workspace, *, after_s: float = -1, for_s: float = 30) -> wire.GrantRoot:
    return wire.GrantRoot(workspace=one, request_id=uuid4(), not_before=in_s(after_s), until=in_s(for_s))


def files_of_windows(workspace: isolation.Workspace) -> list[Path]:
    return sorted(workspace.run_dir.glob("sudoers*"))


def test_h5_a_window_ends_on_the_vm_by_itself_with_its_sessions(alone: Play) -> None:
    """H5, R3: the grant and an open root shell end on time, with no control plane at all."""

    async def scene(shell: Shelled, one: Workspace) -> None:
        key = shell.key(one)
        assert (await shell.run(one, key, "sudo -n id -u"))[0] != 0
        asked = grant(one, for_s=6)
        await shell.do(asked)
        assert (await shell.run(one, key, "sudo -n id -u")) == (0, "0\n")
        terminal = Terminal(shell.ssh(one, key, "-tt", ""))
        try:
            await terminal.sees("$")
            terminal.type("sudo -i\n")
            await terminal.sees("#")
            terminal.type("nohup sleep 1000 & id -u; echo up-$((40+2))\n")
            await terminal.sees("up-42")
            await terminal.ended(within_s=10)
        finally:
            terminal.close()
        assert in_s(0) >= asked.until
        assert (in_s(0) - asked.until).total_seconds() < 2
        workspace = shell.vm.made[0]
        assert workspace.groups("root-*") == []
        assert files_of_windows(workspace) == []
        assert (await shell.run(one, key, "sudo -n id -u"))[0] != 0
        ended = [body for body in shell.reports() if isinstance(body, RootEnded)]
        assert [(body.request_id, body.cause) for body in ended] == [(asked.request_id, "expired")]

    alone(scene)


def test_r3_sudo_itself_ends_grant_and_command_where_the_program_keeps_no_time(alone: Play) -> None:
    """R3: NOTAFTER and TIMEOUT are the second way, should the program be down."""

    async def scene(shell: Shelled, one: Workspace) -> None:
        shell.running.cancel()
        key = shell.key(one)
        asked = grant(one, for_s=5)
        await shell.do(asked)
        terminal = Terminal(shell.ssh(one, key, "-tt", "sudo sh -c 'echo up-$((40+2)); sleep 1000'"))
        try:
            await terminal.sees("up-42")
            await terminal.ended(within_s=10)
        finally:
            terminal.close()
        # Whole seconds, from sudo's own start: not longer than the window was when it was granted.
        assert -2 < (in_s(0) - asked.until).total_seconds() < 5
        await asyncio.sleep(max(0.0, (asked.until - in_s(0)).total_seconds()) + 1)
        assert files_of_windows(shell.vm.made[0])
        assert (await shell.run(one, key, "sudo -n id -u"))[0] != 0

    alone(scene)


def test_a_window_begins_at_its_time_and_can_be_dropped(alone: Play) -> None:
    async def scene(shell: Shelled, one: Workspace) -> None:
        key = shell.key(one)
        asked = grant(one, after_s=2)
        await shell.do(asked)
        assert (await shell.run(one, key, "sudo -n id -u"))[0] != 0
        await asyncio.sleep(2)
        # The program opens it within moments of its time.
        async with asyncio.timeout(10):
            while (await shell.run(one, key, "sudo -n id -u")) != (0, "0\n"):
                await asyncio.sleep(0.1)
        # A service has no part in it, nor has another program of the shell's account.
        for account in (0, 1):
            ran = await shell.vm.made[0].run(("sudo", "-n", "id", "-u"), account=account)
            assert ran.exit_status != 0
        terminal = Terminal(shell.ssh(one, key, "-tt", "sudo sleep 1000"))
        await asyncio.sleep(0.5)
        try:
            done = await shell.do(wire.DropRoot(workspace=one, request_id=asked.request_id))
            assert done.ended >= 1
            await terminal.ended()
        finally:
            terminal.close()
        assert (await shell.run(one, key, "sudo -n id -u"))[0] != 0
        assert [body.cause for body in shell.reports() if isinstance(body, RootEnded)] == ["dropped"]

    alone(scene)


def test_a_window_outlives_a_restart_of_the_program_and_ends_even_if_it_was_down(alone: Play) -> None:
    async def scene(shell: Shelled, one: Workspace) -> None:
        key = shell.key(one)
        asked = grant(one, for_s=8)
        await shell.do(asked)
        await shell.stop()
        again = await Shelled.start(shell.vm, authority=shell.authority)
        again.host_key = shell.host_key
        assert (await again.run(one, key, "sudo -n id -u")) == (0, "0\n")
        await again.stop()
        while in_s(0) < asked.until:
            await asyncio.sleep(0.1)
        third = await Shelled.start(shell.vm, authority=shell.authority)
        third.host_key = shell.host_key
        try:
            assert [body.cause for body in third.reports() if isinstance(body, RootEnded)] == ["expired"]
            assert (await third.run(one, key, "sudo -n id -u"))[0] != 0
        finally:
            await third.stop()

    alone(scene)


def test_h5_nobody_becomes_root_on_a_vm_that_is_not_theirs_alone(behind_walls: Play) -> None:
    """H5: not on a shared VM, and not while another workspace is on a dedicated one."""
    mine = uuid4()

    async def scene(vm: Machine) -> None:
        shell = await Shelled.start(vm)
        try:
            one = await shell.prepare(like=vm.wire("one").model_copy(update={"id": mine}))
            two = await shell.prepare("two")
            for asked in (grant(two), grant(one)):
                with pytest.raises(CommandFailed, match="not the workspace's alone"):
                    await shell.do(asked)
            await vm.workspaces.remove(two, delete_files=True)
            with pytest.raises(CommandFailed, match="over already"):
                await shell.do(grant(one, for_s=-1))
            await shell.do(grant(one))
            assert not Path("/etc/sudoers.d/envforge").exists()
            await vm.workspaces.remove(one, delete_files=True)
            assert [body.cause for body in shell.reports() if isinstance(body, RootEnded)] == ["dropped"]
        finally:
            await shell.stop()

    behind_walls(scene, ssh_port=next_port(), dedicated_to=str(mine))


def test_h5_nobody_becomes_root_where_files_lie_with_those_of_other_workspaces(alone: Play) -> None:
    """H5: the network admits the VM to the whole file system, which asks root of the VM for nothing more."""

    async def scene(shell: Shelled, one: Workspace) -> None:
        asked = grant(one)
        shared = one.storage.model_copy(
            update={"kind": "file_system", "file_system": "fs-0123456789abcdef0", "directory": ""}
        )
        there = shell.vm.made[0]
        elsewhere = asked.model_copy(update={"workspace": one.model_copy(update={"storage": shared})})
        with pytest.raises(CommandFailed, match="those of the organization's other workspaces"):
            await shell.part.windows.grant(elsewhere, there, alone=True)
        assert files_of_windows(there) == []
        await shell.part.windows.grant(asked, there, alone=True)
        assert len(files_of_windows(there)) == 1

    alone(scene)


def test_r3_two_windows_end_each_alone(alone: Play) -> None:
    """R3, H5: the end of one takes neither the other's grant nor its sessions, and leaves none of its own."""

    async def scene(shell: Shelled, one: Workspace) -> None:
        key, workspace = shell.key(one), shell.vm.made[0]
        first, second = grant(one, for_s=20), grant(one, for_s=40)
        await shell.do(first)
        terminals = [Terminal(shell.ssh(one, key, "-tt", "sudo sleep 1000"))]
        try:
            await until(lambda: len(workspace.groups("root-*")) == 1)
            await shell.do(second)
            terminals.append(
                Terminal(shell.ssh(one, key, "-tt", "sudo sh -c 'echo up-$((40+2)); sleep 1000'"))
            )
            await terminals[1].sees("up-42")
            texts = {file.name: file.read_text() for file in files_of_windows(workspace)}
            for asked in (first, second):
                text = texts[f"sudoers-{asked.request_id.hex}"]
                ends = f"NOTAFTER={asked.until:%Y%m%d%H%M%SZ}"
                assert f"NOTBEFORE={asked.not_before:%Y%m%d%H%M%SZ} {ends} TIMEOUT=" in text
                checked = await asyncio.to_thread(
                    subprocess.run,
                    ["visudo", "-csf", "-"],
                    input=text,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert checked.returncode == 0, checked.stderr
            await shell.do(wire.DropRoot(workspace=one, request_id=first.request_id))
            await terminals[0].ended()
            assert [file.name for file in files_of_windows(workspace)] == [f"sudoers-{second.request_id.hex}"]
            assert terminals[1].child.poll() is None
            assert (await shell.run(one, key, "sudo -n id -u")) == (0, "0\n")
            await shell.do(wire.DropRoot(workspace=one, request_id=second.request_id))
            await terminals[1].ended()
            assert (await shell.run(one, key, "sudo -n id -u"))[0] != 0
        finally:
            for terminal in terminals:
                terminal.close()

    alone(scene)
