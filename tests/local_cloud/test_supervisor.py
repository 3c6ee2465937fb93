"""The supervisor, with real processes: what crashes comes back, what it started ends with it, nothing else does."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local_cloud.console import Console
from local_cloud.home import REPOSITORY, Home
from local_cloud.processes import Records, inspect, is_running
from local_cloud.supervisor import Crash, Part, PartFailedError, State, Supervisor

SLEEPER = "import time\nprint('sleeping', flush=True)\ntime.sleep(600)"


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", textwrap.dedent(code))


def eventually(check: Callable[[], object], within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def pid_in(path: Path) -> int:
    eventually(lambda: path.exists() and path.read_text().strip())
    return int(path.read_text())


def test_a_crashed_part_is_named_with_its_last_lines_and_restarted(home: Home) -> None:
    crashes: list[Crash] = []
    with Supervisor(home, on_crash=crashes.append) as supervisor:
        supervisor.start([Part("sleeper", "Sleeper", python(SLEEPER))])
        first = supervisor.pid("sleeper")
        eventually(lambda: "sleeping" in (home.logs / "sleeper.log").read_text())
        os.kill(first, signal.SIGKILL)
        eventually(lambda: crashes)
        assert crashes[0].part.title == "Sleeper"
        assert crashes[0].how == "by signal SIGKILL"
        assert crashes[0].log_tail.endswith("sleeping")
        eventually(lambda: supervisor.state("sleeper") is State.READY)
        assert supervisor.pid("sleeper") != first


def test_the_pause_before_a_restart_grows(home: Home) -> None:
    crashes: list[Crash] = []
    with Supervisor(home, on_crash=crashes.append) as supervisor:
        supervisor.start([Part("brief", "Brief", python("import time; time.sleep(0.3)"))])
        eventually(lambda: len(crashes) == 3)
    assert [crash.restart_in_s for crash in crashes] == [1, 2, 4]
    assert crashes[0].how == "exit status 0"


def test_a_part_that_cannot_start_is_reported_with_its_log(home: Home) -> None:
    broken = Part("broken", "Broken", python("raise SystemExit('no such table')"), ready=lambda: False)
    with (
        Supervisor(home, on_crash=lambda _crash: None) as supervisor,
        pytest.raises(PartFailedError, match=r"Broken ended 3 times .*exit status 1(.|\n)*no such table"),
    ):
        supervisor.start([broken])


def test_a_part_that_is_never_ready_is_reported_and_ended(home: Home) -> None:
    slow = Part("slow", "Slow", python(SLEEPER), ready=lambda: False, ready_within_s=0.3)
    with Supervisor(home) as supervisor:
        with pytest.raises(PartFailedError, match="Slow was not ready after"):
            supervisor.start([slow])
        eventually(lambda: not Records(home.run / "parts.json", home.root).leftovers())


def test_parts_start_after_what_they_need_and_stop_before_it(home: Home) -> None:
    diary = home.root / "diary"
    code = """
        import signal, sys, time
        def note(word):
            with open({diary!r}, "a") as file:
                file.write(word + " {name}\\n")
        def end(*_):
            note("stop")
            sys.exit()
        signal.signal(signal.SIGTERM, end)
        note("start")
        open({flag!r}, "w").close()
        time.sleep(600)
    """
    parts = []
    for name, needs in (("web", ("store",)), ("store", ())):
        flag = home.root / f"{name}.ready"
        body = code.format(diary=str(diary), name=name, flag=str(flag))
        parts.append(Part(name, name, python(body), ready=flag.exists, needs=needs))
    with Supervisor(home) as supervisor:
        supervisor.start(parts)
    assert diary.read_text().split("\n")[:4] == ["start store", "start web", "stop web", "stop store"]


def test_stopping_ends_what_was_started_and_nothing_else(home: Home) -> None:
    stranger = subprocess.Popen(python(SLEEPER), stdout=subprocess.DEVNULL)
    child = home.root / "child.pid"
    parent = f"""
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}])
        open({str(child)!r}, "w").write(str(child.pid))
        time.sleep(600)
    """
    try:
        with Supervisor(home) as supervisor:
            supervisor.start([Part("family", "Family", python(parent))])
            leader, member = supervisor.pid("family"), pid_in(child)
        assert not is_running(leader)
        eventually(lambda: not is_running(member))
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_part_that_ignores_the_request_is_killed_at_once_when_asked_to_hurry(home: Home) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(600)"
    supervisor = Supervisor(home)
    supervisor.start([Part("deaf", "Deaf", python(deaf))])
    eventually(lambda: "deaf" in (home.logs / "deaf.log").read_text())
    pid = supervisor.pid("deaf")
    stopping = threading.Thread(target=supervisor.stop)
    stopping.start()
    time.sleep(0.5)
    assert is_running(pid)
    supervisor.hurry()
    stopping.join(timeout=5)
    assert not is_running(pid)


SUPERVISED = """
    import sys, time
    from pathlib import Path
    from local_cloud.home import Home
    from local_cloud.supervisor import Part, Supervisor
    home = Home(Path({home!r}))
    supervisor = Supervisor(home)
    supervisor.start([Part("part", "Part", (sys.executable, "-c", {part!r}))])
    (home.root / "part.pid").write_text(str(supervisor.pid("part")))
    time.sleep(600)
"""


def supervised(home: Home, part: str) -> tuple[subprocess.Popen[bytes], int]:
    outer = subprocess.Popen(python(SUPERVISED.format(home=str(home.root), part=part)), cwd=REPOSITORY)
    return outer, pid_in(home.root / "part.pid")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
def test_parts_do_not_outlive_a_killed_supervisor(home: Home) -> None:
    outer, part = supervised(home, SLEEPER)
    assert is_running(part)
    outer.kill()
    outer.wait()
    eventually(lambda: not is_running(part))


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_what_outlived_a_killed_supervisor_is_found_and_ended_by_the_next(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(600)"
    outer, part = supervised(home, deaf)
    eventually(lambda: "deaf" in (home.logs / "part.log").read_text())
    outer.kill()
    outer.wait()
    assert is_running(part)
    with Supervisor(home) as supervisor:
        supervisor.start([])
        assert not is_running(part)
    assert "left behind: part" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_stranger_with_a_recorded_number_is_never_ended(home: Home) -> None:
    stranger = subprocess.Popen(python(SLEEPER), stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        records = Records(home.run / "parts.json", home.root)
        records.add("part", stranger.pid)
        path = home.run / "parts.json"
        found = inspect(stranger.pid)
        assert found is not None
        path.write_text(
            re.sub(r'"started_ticks": \d+', f'"started_ticks": {found.started_ticks - 1}', path.read_text())
        )
        assert Records(path, home.root).end_leftovers() == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_part_knows_nothing_of_our_environment(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    show = "import os, time\nprint(sorted(os.environ), flush=True)\ntime.sleep(600)"
    with Supervisor(home, console=Console()) as supervisor:
        supervisor.start([Part("part", "Part", python(show), environment={"ONLY": "this"})])
        eventually(lambda: "ONLY" in (home.logs / "part.log").read_text())
    assert "AWS_PROFILE" not in (home.logs / "part.log").read_text()


def test_an_interrupted_wait_still_waits_for_the_parts_to_end(home: Home) -> None:
    slow = """
        import signal, sys, time
        def end(*_):
            time.sleep(1)
            sys.exit()
        signal.signal(signal.SIGTERM, end)
        print("listening", flush=True)
        time.sleep(600)
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with Supervisor(home) as supervisor:
            supervisor.start([Part("slow", "Slow", python(slow))])
            eventually(lambda: "listening" in (home.logs / "slow.log").read_text())
            pid = supervisor.pid("slow")
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(KeyboardInterrupt):
                supervisor.wait()
        assert not is_running(pid)
    finally:
        signal.signal(signal.SIGALRM, before)
