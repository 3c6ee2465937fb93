"""From a bare Python to an environment with every package: said plainly, done once, and shown in full when it fails."""

import ast
import io
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_cloud import bootstrap
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import REPOSITORY, Home

DEV = REPOSITORY / "dev"


def locks(home: Home, monkeypatch: pytest.MonkeyPatch, content: str) -> Path:
    """Lock files of our own, so that no test needs a network."""
    requirements = home.directory("requirements")
    for name in ("local", "dev"):
        (requirements / f"{name}.txt").write_text(content)
    monkeypatch.setattr(bootstrap, "REQUIREMENTS", requirements)
    return requirements


def test_an_old_python_can_read_the_command() -> None:
    ast.parse(DEV.read_text(), feature_version=(3, 6))


def test_an_old_python_is_told_what_is_needed() -> None:
    pretend = (
        f"import runpy, sys; sys.version_info = (3, 9, 2); runpy.run_path({str(DEV)!r}, run_name='__main__')"
    )
    said = subprocess.run(
        [sys.executable, "-c", pretend], env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert said.returncode == 1
    assert said.stderr.startswith("Python 3.11 or newer is needed, this is")
    assert "Traceback" not in said.stderr


def test_the_environment_is_made_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = locks(home, monkeypatch, "")
    shown = io.StringIO()
    python = bootstrap.prepare_environment(home, "dev", Console(shown))
    assert "Virtual environment" in shown.getvalue()
    shown.truncate(0)
    began = time.monotonic()
    for lock in ("dev", "local"):  # the packages of dev include those of local
        assert bootstrap.prepare_environment(home, lock, Console(shown)) == python
    assert time.monotonic() - began < 1
    assert "Virtual" not in shown.getvalue()
    assert "Packages" not in shown.getvalue()

    (requirements / "local.txt").write_text("# changed\n")
    bootstrap.prepare_environment(home, "local", Console(shown))
    assert "Packages" in shown.getvalue()


def test_an_environment_that_was_given_up_halfway_is_made_anew(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks(home, monkeypatch, "")
    # What venv leaves when it is killed before it has brought pip.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home.venv], check=True)
    python = bootstrap.prepare_environment(home, "local", Console(io.StringIO()))
    subprocess.run([python, "-m", "pip", "--version"], check=True, capture_output=True)


def test_the_command_of_the_product_is_installed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    locks(home, monkeypatch, "")
    python = bootstrap.prepare_environment(home, "local", Console(io.StringIO()))
    where = "import envforge_cli; print(envforge_cli.__file__)"
    found = subprocess.run([python, "-c", where], cwd="/", capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(REPOSITORY / "envforge_cli"))
    script = home.venv / "bin" / "envforge"
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["/bin/sh", "-n", script], check=False).returncode == 0


def test_what_pip_says_is_shown_in_full_and_the_next_run_tries_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirements = locks(
        home, monkeypatch, f"thing @ file:///nowhere/thing-1-py3-none-any.whl --hash=sha256:{'0' * 64}\n"
    )
    with pytest.raises(LocalCloudError, match=r"(?s)ERROR.*/nowhere/thing.*run \./dev again"):
        bootstrap.prepare_environment(home, "local", Console(io.StringIO()))
    (requirements / "local.txt").write_text("")
    assert bootstrap.prepare_environment(home, "local", Console(io.StringIO())).exists()


def test_an_unknown_word_gets_the_nearest_command() -> None:
    said = subprocess.run([sys.executable, DEV, "tset"], capture_output=True, text=True, check=False)
    assert said.returncode == 2
    assert "Did you mean ./dev test?" in said.stderr


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_the_commands_are_listed(words: list[str]) -> None:
    said = subprocess.run([sys.executable, DEV, *words], capture_output=True, text=True, check=True)
    assert "./dev up " in said.stdout
    assert "./dev reset" in said.stdout
