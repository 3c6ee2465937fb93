"""Who comes in by SSH, tried with OpenSSH's own client (W5, THREATS H1, H7)."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificateType

from envforge_daemon.shell.sessions import SFTP_SERVERS
from envforge_protocol.host import commands as wire
from envforge_protocol.host.reports import ShellConnected, ShellDisconnected
from tests.daemon.machine import Machine, next_port
from tests.daemon.shells import Authority, Shelled, Terminal, somebody

Play = Callable[..., None]
pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="openssh-client is not installed")

REFUSED = "Permission denied"


@pytest.fixture
def shelled(behind_walls: Play) -> Play:
    """Runs a scene on a VM whose shell half runs."""

    def run(scene: Callable[[Shelled], object], **settings: object) -> None:
        async def play(vm: Machine) -> None:
            shell = await Shelled.start(vm)
            try:
                await scene(shell)  # type: ignore[misc]
            finally:
                await shell.stop()

        behind_walls(play, ssh_port=next_port(), **settings)

    return run


def test_a_certificate_lets_its_holder_run_commands_as_the_workspace(shelled: Play) -> None:
    async def scene(shell: Shelled) -> None:
        one = await shell.prepare()
        key = shell.key(one, serial=41)
        status, said = await shell.run(
            one, key, "id -u; pwd; cat; echo $LEAKED; exit 3", given=b"handed in\n"
        )
        assert (status, said.split("\n")) == (3, [str(one.uid), "/home/workspace", "handed in", "", ""])
        status, said = await shell.run(one, key, "kill -TERM $$", login=str(one.id))
        assert status == 143, said
        for _ in range(100):
            told = shell.reports()
            if len(told) == 4:
                break
            await asyncio.sleep(0.02)
        assert [(type(body), body.serial) for body in told] == [  # type: ignore[union-attr]
            (ShellConnected, 41),
            (ShellDisconnected, 41),
            (ShellConnected, 41),
            (ShellDisconnected, 41),
        ]
        assert [body.cause for body in told if isinstance(body, ShellDisconnected)] == ["left", "left"]

    shelled(scene)


def test_h7_only_the_organizations_valid_certificate_for_this_workspace_counts(shelled: Play) -> None:
    """H7: each of these is refused, and nothing is told as connected."""

    async def scene(shell: Shelled) -> None:
        one = await shell.prepare("one")
        two = await shell.prepare("two")
        mine = [str(one.id)]
        make, other = shell.authority.certificate, Authority().certificate
        refused = {
            "another workspace's": make(shell.directory, [str(two.id)]),
            "the login's name": make(shell.directory, [one.user]),
            "two principals": make(shell.directory, [*mine, str(two.id)]),
            "all principals": make(shell.directory, []),
            "expired": make(shell.directory, mine, begins_in_s=-600, good_for_s=-1),
            "not yet": make(shell.directory, mine, begins_in_s=60),
            "for ever": make(shell.directory, mine, good_for_s=10 * 24 * 3600),
            "another authority's": other(shell.directory, mine),
            "a host's": make(shell.directory, mine, kind=SSHCertificateType.HOST),
            "an option nobody keeps": make(shell.directory, mine, options={b"verify-required": b""}),
        }
        for why, key in refused.items():
            status, said = await shell.run(one, key, "echo came in")
            assert status == 255, why
            assert "came in" not in said, why
        status, said = await shell.run(one, shell.key(one), "true", certificate=False)
        assert status == 255
        assert REFUSED in said
        # The other's login with one's own certificate.
        status, said = await shell.run(two, shell.key(one), "echo came in")
        assert status == 255
        assert "came in" not in said
        assert shell.reports() == []
        status, said = await shell.run(one, shell.key(one), "echo came in")
        assert (status, said) == (0, "came in\n")

    shelled(scene)


def test_h7_a_revoked_serial_and_an_earlier_authority_are_refused(shelled: Play) -> None:
    async def scene(shell: Shelled) -> None:
        one = await shell.prepare()
        key = shell.key(one, serial=9)
        assert (await shell.run(one, key, "true"))[0] == 0
        authorize = wire.AuthorizeShell(
            workspace=one, certificate_authority=shell.authority.line, revoked_serials=(9,)
        )
        await shell.do(authorize)
        assert (await shell.run(one, key, "true"))[0] == 255
        later = shell.key(one, serial=10)
        assert (await shell.run(one, later, "true"))[0] == 0
        # Preparing again forgets no revocation, nor does a restart.
        await shell.prepare(like=one)
        await shell.stop()
        again = await Shelled.start(shell.vm, authority=shell.authority)
        again.host_key = shell.host_key
        try:
            assert (await again.run(one, key, "true"))[0] == 255
            assert (await again.run(one, later, "true"))[0] == 0
            await again.do(authorize.model_copy(update={"certificate_authority": Authority().line}))
            assert (await again.run(one, later, "true"))[0] == 255
        finally:
            await again.stop()

    shelled(scene)


@pytest.mark.parametrize("by", ["serial", "person", "everybody", "revocation", "removal"])
def test_ending_access_cuts_an_open_session_within_a_second(shelled: Play, by: str) -> None:
    async def scene(shell: Shelled) -> None:
        one = await shell.prepare()
        person = somebody()
        key = shell.key(one, serial=5, key_id=f"{person} bob@acme.test")
        staying = shell.key(one, serial=6, key_id=f"{somebody()} alice@acme.test")
        cut = Terminal(shell.ssh(one, key, "-tt", "echo here; sleep 100"))
        kept = Terminal(shell.ssh(one, staying, "-tt", "echo here; sleep 100"))
        try:
            await cut.sees("here")
            await kept.sees("here")
            began = asyncio.get_running_loop().time()
            if by == "serial":
                await shell.do(wire.EndShell(workspace_id=one.id, serials=(5,)))
            elif by == "person":
                await shell.do(wire.EndShell(workspace_id=one.id, person_id=person))
            elif by == "everybody":
                done = await shell.do(wire.EndShell(workspace_id=one.id, everybody=True))
                assert done.ended == 2
            elif by == "removal":
                await shell.vm.workspaces.remove(one, delete_files=True)
            else:
                await shell.do(
                    wire.AuthorizeShell(
                        workspace=one, certificate_authority=shell.authority.line, revoked_serials=(5,)
                    )
                )
            assert await cut.ended() == 255
            assert by == "removal" or asyncio.get_running_loop().time() - began < 1
            assert (kept.child.poll() is None) is (by not in ("everybody", "removal"))
            if by != "removal":
                workspace = shell.vm.made[0]
                left = sum(len(workspace.group(name).processes()) for name in workspace.groups("shell-*"))
                assert (left > 0) is (by != "everybody")
        finally:
            cut.close()
            kept.close()
        assert "access_ended" in await shell.causes(2)
        assert (await shell.run(one, key, "true"))[0] == (0 if by in ("person", "everybody") else 255)

    shelled(scene)


def test_h1_forwarding_needs_its_permission_and_reaches_the_workspaces_loopback_alone(shelled: Play) -> None:
    """H1: never metadata, the VM's loopback, or another workspace's."""

    async def scene(shell: Shelled) -> None:
        one = await shell.prepare("one")
        two = await shell.prepare("two")
        served, elsewhere, on_the_vm = next_port(), next_port(), next_port()
        for at, port, word in ((0, served, "mine"), (1, elsewhere, "theirs")):
            workspace = shell.vm.made[at]
            script = (
                "import socket\n"
                f"s = socket.create_server(('127.0.0.1', {port}))\n"
                f"while True:\n c, _ = s.accept(); c.sendall(b'{word}'); c.close()\n"
            )
            await workspace.spawn(
                ("python3", "-c", script), group="service-a", account=1, env=workspace.environment(1)
            )

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"the VM's own")
            writer.close()

        own = await asyncio.start_server(answer, "127.0.0.1", on_the_vm)
        allowed, plain = shell.key(one, forwarding=True), shell.key(one)
        await asyncio.sleep(0.3)
        assert (await shell.run(one, allowed, "-W", f"127.0.0.1:{served}", ""))[1] == "mine"
        assert (await shell.run(one, allowed, "-W", f"localhost:{served}", ""))[1] == "mine"
        for key, target in (
            (plain, f"127.0.0.1:{served}"),
            (allowed, f"127.0.0.1:{elsewhere}"),
            (allowed, f"127.0.0.1:{on_the_vm}"),
            (allowed, f"{shell.vm.made[1].address}:{elsewhere}"),
            (allowed, "169.254.169.254:80"),
            (allowed, f"169.254.169.254:{served}"),
            (allowed, f"0.0.0.0:{on_the_vm}"),
        ):
            _, said = await shell.run(one, key, "-W", target, "")
            assert not {"mine", "theirs", "own"} & set(said.replace(":", " ").split()), (target, said)
        # The other way round, an agent and a display are nobody's.
        status, said = await shell.run(one, allowed, "-R", f"{next_port()}:127.0.0.1:{on_the_vm}", "true")
        assert status == 255, said
        status, said = await shell.run(one, allowed, "-A", "echo [$SSH_AUTH_SOCK$DISPLAY]")
        assert said == "[]\n"
        own.close()
        assert two.id != one.id

    shelled(scene)


def test_tmux_goes_on_when_people_leave_and_is_found_again(shelled: Play) -> None:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")

    async def scene(shell: Shelled) -> None:
        one = await shell.prepare()
        key = shell.key(one)
        first = Terminal(shell.ssh(one, key, "-tt", ""))
        try:
            await first.sees("$")
            first.type("export MARK=found; echo set-$((40+2))\n")
            await first.sees("set-42")
        finally:
            first.close()
        again = Terminal(shell.ssh(one, key, "-tt", ""))
        try:
            await again.sees("$")
            again.type("echo $MARK-again\n")
            await again.sees("found-again")
            # Cut by a restart of the program; tmux is not.
            await shell.stop()
            await again.ended()
        finally:
            again.close()
        assert (await shell.causes(2))[-1] == "restarted"
        later = await Shelled.start(shell.vm, authority=shell.authority)
        later.host_key = shell.host_key
        third = Terminal(later.ssh(one, key, "-tt", ""))
        try:
            await third.sees("found-again")
        finally:
            third.close()
            await later.stop()

    shelled(scene)


def test_a_terminal_has_its_size_and_sftp_is_the_accounts_or_plainly_refused(shelled: Play) -> None:
    async def scene(shell: Shelled) -> None:
        one = await shell.prepare()
        key = shell.key(one)
        terminal = Terminal(shell.ssh(one, key, "-tt", "stty size; tty; echo $TERM; exit 5"))
        try:
            await terminal.sees("xterm")
            assert await terminal.ended() == 5
        finally:
            terminal.close()
        installed = any(Path(name).exists() for name in SFTP_SERVERS)
        if not installed:
            status, said = await shell.run(one, key, "-s", "sftp")
            assert (status, "not installed" in said) == (127, True)
            return
        # As the account: what root alone may read is not handed out.
        mine = shell.directory / "mine.txt"
        mine.write_text("by sftp\n")
        argv = shell.ssh(one, key, "-b", "-", "")[1:-1]
        child = await asyncio.create_subprocess_exec(
            "sftp", *("-P" if word == "-p" else word for word in argv), stdin=PIPE, stdout=PIPE, stderr=STDOUT
        )
        given = f"pwd\nput {mine} here.txt\n-get /etc/shadow {shell.directory}/shadow\n"
        out, _ = await asyncio.wait_for(child.communicate(given.encode()), 20)
        assert b"Remote working directory: /home/workspace" in out, out
        assert b"Permission denied" in out, out
        assert not (shell.directory / "shadow").exists()
        assert (await shell.run(one, key, "cat here.txt; stat -c %u here.txt"))[1] == f"by sftp\n{one.uid}\n"

    shelled(scene)


def test_a_program_killed_without_notice_tells_of_the_connections_at_its_next_start(shelled: Play) -> None:
    async def scene(shell: Shelled) -> None:
        one = await shell.prepare()
        kept = shell.context.state.documents("connections")
        terminal = Terminal(shell.ssh(one, shell.key(one), "-tt", "echo here; sleep 100"))
        try:
            await terminal.sees("here")
            (name,) = kept.names()
            document = kept.read(name)
        finally:
            terminal.close()
        while kept.names():
            await asyncio.sleep(0.02)
        await kept.write(name, document)
        again = await Shelled.start(shell.vm, authority=shell.authority) if await _stopped(shell) else shell
        try:
            told = [body for body in again.reports() if isinstance(body, ShellDisconnected)]
            assert [body.cause for body in told][-1] == "restarted"
            assert kept.names() == []
        finally:
            await again.stop()

    shelled(scene)


async def _stopped(shell: Shelled) -> bool:
    await shell.stop()
    return True
