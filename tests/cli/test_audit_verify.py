"""`envforge audit verify` as a person runs it: words, exit codes, streams (A1)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.protocol.exports import ACME, KEY_DOCUMENT, KEY_ID, SIGNER, body, checkpoint, export

ROOT = Path(__file__).resolve().parents[2]
N, EVERY = 30, 10


def envforge(
    *arguments: str | Path, stdin: bytes = b"", cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "envforge_cli", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=False,
    )
    result = subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )
    assert "Traceback" not in result.stdout + result.stderr
    return result


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(KEY_DOCUMENT)
    return path


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_an_honest_export_exits_0_and_says_what_was_checked(tmp_path: Path, keys: Path) -> None:
    file = written(tmp_path / "acme.jsonl", export(N, EVERY, start=3, omit=frozenset({4, 5})))
    done = envforge("audit", "verify", file, "--keys", keys)
    assert done.returncode == 0
    assert done.stderr == ""
    assert f"{ACME}, which the file calls acme" in done.stdout
    assert "25 event(s), sequence numbers 4 to 30" in done.stdout
    assert "through event 30, by 4 checkpoint(s)" in done.stdout
    assert KEY_ID in done.stdout
    assert "2 event(s): the chain holds their digests" in done.stdout
    assert done.stdout.endswith("\nVERIFIED\n")


def test_a_tampered_export_exits_1_and_names_the_first_bad_sequence(tmp_path: Path, keys: Path) -> None:
    lines = export(N, EVERY)
    lines[5] = lines[5].replace("Alice", "Mallory")
    done = envforge("audit", "verify", written(tmp_path / "acme.jsonl", lines), "--keys", keys)
    assert done.returncode == 1
    assert "event 5 (runtime.wake_requested" in done.stdout
    assert "(line 6)" in done.stdout
    assert "First bad sequence number: 5" in done.stdout
    assert done.stdout.endswith("\nNOT VERIFIED\n")


def test_standard_input_and_json(keys: Path) -> None:
    honest = "\n".join(export(N, EVERY)).encode()
    done = envforge("audit", "verify", "-", "--keys", keys, "--json", stdin=honest)
    assert done.returncode == 0
    assert json.loads(done.stdout)["signed_through"] == N
    done = envforge("audit", "verify", "-", "--keys", keys, "--json", stdin=honest[:-300])
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["ok"] is False
    assert report["problems"][0]["code"] == "malformed"


def test_e1_a_kept_checkpoint_finds_the_missing_tail(tmp_path: Path, keys: Path) -> None:
    file = written(tmp_path / "acme.jsonl", export(90, EVERY))
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(checkpoint(120, 120).to_json()))
    done = envforge("audit", "verify", file, "--keys", keys, "--expect", kept)
    assert done.returncode == 1
    assert "events 91 to 120 are missing: the kept checkpoint says 120" in done.stdout


def test_a_checkpoint_line_of_an_export_serves_as_kept_checkpoint(tmp_path: Path, keys: Path) -> None:
    lines = export(N, EVERY)
    kept = written(tmp_path / "kept.json", [next(line for line in lines if '"checkpoint"' in line)])
    file = written(tmp_path / "acme.jsonl", lines)
    done = envforge("audit", "verify", file, "--keys", keys, "--expect", kept)
    assert done.returncode == 0
    assert "and the one you kept" in done.stdout


def test_an_unsigned_tail_is_said(tmp_path: Path, keys: Path) -> None:
    lines = export(N, EVERY)
    del lines[-2]
    done = envforge("audit", "verify", written(tmp_path / "acme.jsonl", lines), "--keys", keys)
    assert done.returncode == 0
    assert "events 21 to 30: chained, but no signature vouches for them yet" in done.stdout


def test_unsigned_files_need_to_be_allowed_and_are_never_called_verified(tmp_path: Path, keys: Path) -> None:
    lines = [line for line in export(N, EVERY) if '"type":"checkpoint"' not in line]
    file = written(tmp_path / "acme.jsonl", lines)
    assert envforge("audit", "verify", file, "--keys", keys).returncode == 1
    done = envforge("audit", "verify", file, "--allow-unsigned")
    assert done.returncode == 0
    assert "nothing is signed" in done.stdout
    assert "VERIFIED" not in done.stdout


def test_one_pem_file_serves_as_keys(tmp_path: Path) -> None:
    pem = tmp_path / "key.pem"
    pem.write_text(SIGNER.pem)
    file = written(tmp_path / "acme.jsonl", export(N, EVERY))
    assert envforge("audit", "verify", file, "--keys", pem).returncode == 0


def test_csv_is_recognised(tmp_path: Path, keys: Path) -> None:
    file = written(tmp_path / "acme.csv", ["at,kind,actor", "2026-01-01,runtime.woken,Alice"])
    done = envforge("audit", "verify", file, "--keys", keys)
    assert done.returncode == 2
    assert "CSV is for reading and cannot be verified; export as JSON Lines" in done.stderr
    assert envforge("audit", "verify", "-", "--keys", keys, stdin=file.read_bytes()).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("audit",), "envforge audit --help"),
        (("unknown",), "invalid choice"),
        (("audit", "verify"), "FILE"),
        (("audit", "verify", "good.jsonl"), "--allow-unsigned"),
        (("audit", "verify", "good.jsonl", "--keys"), "--keys"),
        (("audit", "verify", "none.jsonl", "--keys", "keys.json"), "none.jsonl cannot be read"),
        (("audit", "verify", ".", "--keys", "keys.json"), ". cannot be read"),
        (("audit", "verify", "good.jsonl", "--keys", "none.json"), "none.json cannot be read"),
        (("audit", "verify", "good.jsonl", "--keys", "good.jsonl"), "PEM"),
        (
            ("audit", "verify", "good.jsonl", "--keys", "keys.json", "--expect", "keys.json"),
            "is not a checkpoint",
        ),
        (("audit", "verify", "good.jsonl", "--keys", "keys.json", "--expect", "good.jsonl"), "is not JSON"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_to_do(
    tmp_path: Path, keys: Path, arguments: tuple[str, ...], words: str
) -> None:
    written(tmp_path / "good.jsonl", export(N, EVERY))
    done = envforge(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path, keys: Path) -> None:
    lines = export(N, EVERY)
    header = json.loads(lines[0])
    lines[0] = json.dumps(header | {"name": "acme\x1b[2J\rVERIFIED"})
    lines[5] = json.dumps(json.loads(lines[5]) | {"body": body(5) | {"kind": "x\x1b]0;y\x07\n"}})
    done = envforge("audit", "verify", written(tmp_path / "acme.jsonl", lines), "--keys", keys)
    assert done.returncode == 1
    assert all(line.isprintable() for line in done.stdout.split("\n"))


def test_a_terminal_that_knows_only_ascii_is_served(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    lines = export(N, EVERY)
    lines[0] = json.dumps(json.loads(lines[0]) | {"name": "çelik"})
    done = envforge("audit", "verify", written(tmp_path / "acme.jsonl", lines), "--keys", keys)
    assert done.returncode == 0
    assert "\\xe7elik" in done.stdout


def test_a_reader_that_leaves_is_no_error(tmp_path: Path, keys: Path) -> None:
    file = written(tmp_path / "acme.jsonl", export(N, EVERY))
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "envforge_cli", "audit", "verify", file, "--keys", keys],
        stdout=writing,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == b""


def test_help_neither_needs_nor_imports_the_cryptography() -> None:
    script = (
        "import sys; from envforge_cli.main import main\n"
        "try: main(['audit', 'verify', '--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert not [name for name in sys.modules if name.startswith(('cryptography', 'envforge_protocol'))]"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert b"--expect" in done.stdout


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path, keys: Path) -> None:
    """Ten times the events in the same room."""
    script = (
        "import sys; from pathlib import Path; from envforge_cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(status.partition('VmHWM:')[2].split()[0]); sys.exit(code)"
    )
    peaks_kib = []
    for events in (2_000, 20_000):
        file = written(tmp_path / f"{events}.jsonl", export(events, 1000))
        done = subprocess.run(
            [sys.executable, "-c", script, "audit", "verify", file, "--keys", keys],
            cwd=ROOT,
            capture_output=True,
            timeout=120,
            check=True,
        )
        peaks_kib.append(int(done.stdout.split()[-1]))
    # The larger file has about 9 MiB; interpreter noise is well below 2.
    assert peaks_kib[1] - peaks_kib[0] < 2048
