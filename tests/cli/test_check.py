"""`envforge check` as a person runs it: places, words, exit codes (W1)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_audit_verify import ROOT, envforge
from tests.protocol.contract.examples import FULL, MINIMAL


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "envforge.yml").write_text(FULL)
    (tmp_path / "bad.yml").write_text(MINIMAL.replace("command:", "comand:") + "env:\n  API_TOKEN: hunter2\n")
    return tmp_path


def test_a_good_file(here: Path) -> None:
    done = envforge("check", cwd=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("envforge.yml is good: service scheduler-web, digest ")


def test_a_bad_file_lists_every_problem_with_its_place(here: Path) -> None:
    done = envforge("check", "bad.yml", cwd=here)
    assert done.returncode == 1
    assert (
        done.stdout.splitlines()[0]
        == "bad.yml:4:1: comand: `comand` is not a key that can stand here (did you mean `command`?)"
    )
    assert done.stdout.splitlines()[1].startswith("bad.yml:8:14: env.API_TOKEN: by its name this is a secret")
    assert "hunter2" not in done.stdout + done.stderr


def test_json(here: Path) -> None:
    good, bad = (envforge("check", "--json", name, cwd=here) for name in ("envforge.yml", "bad.yml"))
    assert json.loads(good.stdout).items() >= {"ok": True, "service": "scheduler-web", "problems": []}.items()
    told = json.loads(bad.stdout)
    assert bad.returncode == 1
    assert (told["ok"], told["problems"][0]["line"], told["problems"][0]["path"]) == (False, 4, "comand")


def test_standard_input() -> None:
    assert envforge("check", "-", stdin=MINIMAL.encode()).returncode == 0
    assert envforge("check", "-", stdin=b"\xff\x00").stdout.startswith("-:1:1: this is not UTF-8")


@pytest.mark.parametrize("name", ["nothing.yml", "."])
def test_an_unreadable_file_is_2(here: Path, name: str) -> None:
    done = envforge("check", name, cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert name in done.stderr


def test_a_special_or_endless_file_is_read_to_the_limit_only() -> None:
    assert "larger than 64 KiB" in envforge("check", "/dev/zero").stdout


def test_pydantic_is_imported_by_this_command_alone() -> None:
    """`envforge` starts fast."""
    for arguments, expected in (
        (["--help"], False),
        (["audit", "--help"], False),
        (["check", "--help"], False),
        (["check", "-"], True),
    ):
        code = (
            "import sys\nfrom envforge_cli.main import main\n"
            f"try: main({arguments!r})\nexcept SystemExit: pass\n"
            "print('pydantic' in sys.modules or 'yaml' in sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, input=b"", capture_output=True, timeout=60, check=True
        )
        assert done.stderr.decode().strip() == str(expected)
