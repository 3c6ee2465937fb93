"""What is declared in a shell: the command as people meet it, what the VM makes of its file, and of a hostile one (W7, H2)."""

import os
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from envforge_daemon.shell.keep_awake import FILE, parse, read
from local_cloud.home import REPOSITORY
from tests.daemon.machine import Machine, sh
from tests.daemon.rig import until
from tests.daemon.shells import Shelled, Terminal

Play = Callable[..., None]

COMMAND = REPOSITORY / "deploy" / "daemon" / "envforge-keep-awake"


def type_(home: Path, *words: str) -> tuple[int, str]:
    ran = subprocess.run(
        ["sh", str(COMMAND), *words],
        env={"PATH": os.defpath, "HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout


def stored(home: Path) -> object:
    return parse((home / Path(FILE).name).read_bytes())


@pytest.mark.parametrize(
    ("words", "seconds", "reason"),
    [
        (("2h", "the import runs"), 7200, "the import runs"),
        (("1h30m", "two", "words"), 5400, "two words"),
        (("90s", "short"), 90, "short"),
        (("08m", "no octal"), 480, "no octal"),
        (("12h", "tab\tand\nline"), 43200, "tab and line"),
        (("2h", "é" * 80), 7200, "é" * 80),
    ],
)
def test_what_is_typed_is_what_is_read(
    tmp_path: Path, words: tuple[str, ...], seconds: int, reason: str
) -> None:
    before = time.time()
    status, said = type_(tmp_path, *words)
    assert status == 0, said
    assert said.startswith("Needed until ")
    found = parse((tmp_path / Path(FILE).name).read_bytes())
    assert found is not None
    assert before + seconds - 1 <= found.until.timestamp() <= time.time() + seconds
    assert found.reason == reason
    assert reason in type_(tmp_path, "--show")[1]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("2", "x"), '"2" is no time'),
        (("soon", "x"), '"soon" is no time'),
        (("30s", "x"), "less than a minute"),
        (("0h", "x"), "less than a minute"),
        (("13h", "x"), "more than 12 hours"),
        (("99999999h", "x"), "is no time"),
        (("2h",), "Say why"),
        (("2h", "  "), "Say why"),
        (("2h", "x" * 81), "81 characters; use at most 80"),
        (("2h", "é" * 81), "81 characters; use at most 80"),
        (("--forever",), "is no option"),
        (("--show", "x"), "takes nothing else"),
        ((), "Keep this workspace's runtime awake"),
    ],
)
def test_what_cannot_be_declared_says_why_and_changes_nothing(
    tmp_path: Path, words: tuple[str, ...], complaint: str
) -> None:
    type_(tmp_path, "2h", "before")
    before = stored(tmp_path)
    status, said = type_(tmp_path, *words)
    assert (status, complaint in said) == (2, True), said
    assert stored(tmp_path) == before


def test_taken_back(tmp_path: Path) -> None:
    assert "Nothing is declared" in type_(tmp_path, "--show")[1]
    type_(tmp_path, "2h", "a reason")
    assert type_(tmp_path, "--cancel")[0] == 0
    assert "Nothing is declared" in type_(tmp_path, "--show")[1]
    found = parse((tmp_path / Path(FILE).name).read_bytes())
    assert found is not None
    assert found.until == datetime.fromtimestamp(0, UTC)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"soon\nx\n",
        b"-5\nx\n",
        b"1e9\nx\n",
        b"9999999999999\nx\n",
        b"999999999999\nx\n",
        "١٢\nx".encode(),
    ],
)
def test_anything_else_is_no_declaration(content: bytes) -> None:
    assert parse(content) is None


def test_a_reason_is_one_line_that_can_be_shown() -> None:
    found = parse(b"1000\n\x1b[31mred\x00 \xff and\xe2\x80\xae back" + b"x" * 200 + b"\nsecond")
    assert found is not None
    assert found.reason.isprintable()
    assert len(found.reason) == 80


def test_h2_a_hostile_file_is_none_and_nothing_is_waited_for(behind_walls: Play) -> None:
    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        assert await read(one) is None
        for script in (
            f"ln -s /etc/shadow {FILE}",
            f"mkfifo {FILE}",
            f"mkdir {FILE}",
            f"head -c 2000 /dev/zero > {FILE}",
            f"ln -s /dev/zero {FILE}",
        ):
            await sh(one, f"rm -rf {FILE}; {script}", account=0)
            assert await read(one) is None, script
        await sh(one, f"rm -rf {FILE}; printf '1000\\nwhy\\n' > {FILE}; chmod 0 {FILE}", account=0)
        assert await read(one) is None
        await sh(one, f"chmod 600 {FILE}", account=0)
        found = await read(one)
        assert found is not None
        assert (found.until.timestamp(), found.reason) == (1000, "why")

    behind_walls(scene)


def test_w7_what_is_typed_in_the_shell_is_in_the_next_heartbeats(behind_walls: Play) -> None:
    """Also where whoever typed it leaves at once, and what goes on in tmux takes it back; a program that begins anew reads it."""

    async def scene(vm: Machine) -> None:
        shell = await Shelled.start(vm)
        try:
            one = await shell.prepare()
            made = shell.vm.made[0]
            await made.write_file("keep-awake", COMMAND.read_bytes(), mode=0o750)
            terminal = Terminal(
                shell.ssh(
                    one, shell.key(one), "-tt", "./keep-awake 2h 'the import runs'; echo it is; sleep 100"
                )
            )
            try:
                await terminal.sees("it is")
                await shell.part.watch.look()
                [activity] = shell.part.activity()
            finally:
                terminal.close()
            declared = activity.declared
            assert declared is not None
            assert declared.reason == "the import runs"
            assert timedelta(hours=1.9) < declared.until - datetime.now(UTC) < timedelta(hours=2.1)
            await until(lambda: not shell.part.server.connected(one.id))
            shell.part.watch.forget(one.id)
            assert not list(shell.part.activity())
            await shell.part.adopt()
            # Once more after the one that was connected; then for what is declared alone.
            for _ in range(3):
                await shell.part.watch.look()
            assert not shell.part.server.connected(one.id)
            [again] = shell.part.activity()
            assert again.declared == declared
            await sh(made, "HOME=$PWD/.home ./keep-awake --cancel", account=0)
            await shell.part.watch.look()
            [last] = shell.part.activity()
            assert last.declared is not None
            assert last.declared.until < datetime.now(UTC)
        finally:
            await shell.stop()

    behind_walls(scene)
