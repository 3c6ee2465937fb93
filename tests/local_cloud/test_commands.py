"""The commands as a person meets them: through the command line, with exit statuses."""

import io
import os
import signal
import subprocess
import sys
import time

from local_cloud.commands.check import run_checks
from local_cloud.console import Console
from local_cloud.home import REPOSITORY, Home
from local_cloud.processes import Records


def start(home: Home, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local_cloud", *words],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "ENVFORGE_HOME": str(home.root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], within_s: float = 60) -> tuple[int, str]:
    said, _ = process.communicate(timeout=within_s)
    return process.returncode, said


def leftovers(home: Home) -> object:
    return Records(home.run / "parts.json", home.root).leftovers()


def test_manage_starts_the_services_for_the_time_and_hands_back_the_exit_status(home: Home) -> None:
    code, said = finish(start(home, "manage", "migrate", "--database=owner", "--check"))
    assert "PostgreSQL                 ready" in said
    assert code == 1, said  # nothing is migrated yet, and --check says so by its status
    assert not leftovers(home)
    assert finish(start(home, "manage", "check"))[0] == 0


def test_a_stop_signal_ends_what_was_started(home: Home) -> None:
    sleeping = start(
        home, "manage", "shell", "-c", "import time; print('at work', flush=True); time.sleep(600)"
    )
    assert sleeping.stdout is not None
    assert any("at work" in line for line in sleeping.stdout)
    assert leftovers(home)
    code, said = finish(start(home, "manage", "check"))
    assert code == 1
    assert "already runs here" in said
    sleeping.send_signal(signal.SIGTERM)
    assert finish(sleeping)[0] == 128 + signal.SIGTERM
    assert not leftovers(home)


def test_reset_asks_first_and_keeps_the_packages(home: Home) -> None:
    (home.directory("venv") / "kept").touch()
    (home.directory("postgres") / "row").touch()
    code, said = finish(start(home, "reset"))
    assert code == 1
    assert "--yes" in said
    assert (home.root / "postgres" / "row").exists()
    assert finish(start(home, "reset", "--yes"))[0] == 0
    assert sorted(path.name for path in home.root.iterdir()) == ["run", "venv"]
    assert (home.root / "venv" / "kept").exists()


def test_logs_shows_what_the_parts_wrote(home: Home) -> None:
    (home.logs / "web.log").write_text("one\ntwo\n")
    assert finish(start(home, "logs", "web")) == (0, "web      | one\nweb      | two\n")
    code, said = finish(start(home, "logs", "wbe"))
    assert code == 1
    assert "There is no log of 'wbe'. Logs: web" in said


def test_every_check_runs_even_after_one_failed() -> None:
    shown = io.StringIO()
    checks = {
        "First": (sys.executable, "-c", "raise SystemExit('it is crooked')"),
        "Second": (sys.executable, "-c", "print('never shown')"),
    }
    began = time.monotonic()
    assert run_checks(checks, {}, Console(shown)) == 1
    assert time.monotonic() - began < 30
    said = shown.getvalue()
    assert "it is crooked" in said
    assert "never shown" not in said
    assert said.index("Second") > said.index("First")
    assert "Failed: First." in said
    assert run_checks({"Second": checks["Second"]}, {}, Console(shown)) == 0
