"""`./dev up` itself is killed while people write: the next one finds nothing left running and all that was promised."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_cloud.cloud import Cloud, running
from local_cloud.home import REPOSITORY, Home
from local_cloud.processes import PROC, bears_mark, everything
from tests.drill.accounts import Journals, balance, count, read_ledger
from tests.drill.killing import eventually, start
from tests.drill.readers import longest_gap

pytestmark = pytest.mark.drill

UP_WITHIN_S = 90
SEALED_WITHIN_S = 15
WRITES_FOR_S = 3.0


def up(home: Home, log: Path) -> tuple["subprocess.Popen[bytes]", Cloud]:
    """`./dev up` in this home, once it has said where it is."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local_cloud", "up"],
            cwd=REPOSITORY,
            env={"PATH": os.environ["PATH"], "ENVFORGE_HOME": str(home.root)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    eventually(
        lambda: "EnvForge is up" in log.read_text() or process.poll() is not None, UP_WITHIN_S, "./dev up"
    )
    cloud = running(home, {})
    assert cloud is not None, log.read_text()
    return process, cloud


def ours(home: Home) -> list[int]:
    """Every process that belongs to this home: by the mark in its environment, or by where it works."""
    return [
        process.pid
        for process in everything()
        if process.state not in "ZX"
        and (bears_mark(process.pid, home.root) or works_in(process.pid, home.root))
    ]


def works_in(pid: int, directory: Path) -> bool:
    # PostgreSQL writes over its environment, but it stays in its data directory.
    try:
        return (PROC / str(pid) / "cwd").resolve().is_relative_to(directory)
    except OSError:
        return False


def test_what_dev_up_leaves_when_it_is_killed(
    home: Home, papers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process, cloud = up(home, papers / "first.log")
    journal = papers / "writer.journal"
    writer = start(cloud, "tests.drill.writer", str(journal), "acme", "alice", "Acme one")
    eventually(journal.exists, 30, "the writer's start")
    time.sleep(WRITES_FOR_S)
    first = set(ours(home))
    assert len(first) > len(("postgres", "valkey", "aws", "issuer", "web", "worker", "beat", "sealer"))
    killed_at = time.monotonic()
    process.send_signal(signal.SIGKILL)
    process.wait()

    process, again = up(home, papers / "second.log")
    up_at = time.monotonic()
    assert not first & set(ours(home)), "a process of the first run is left beside those of the second"
    assert dict(again.ports) == dict(cloud.ports), "people's addresses changed"
    journals = Journals.read([journal])
    eventually(
        lambda: any(
            line["what"] == "done" for line in Journals.read([journal]).ended if line["began"] > up_at
        ),
        10,
        "the writer's recovery",
    )
    writer.terminate()
    assert writer.wait(timeout=30) == 0
    journals = Journals.read([journal])

    unsealed = "SELECT count(*) FROM audit_event WHERE seq IS NULL"
    eventually(lambda: count(again, unsealed) == 0, SEALED_WITHIN_S, "every event sealed")
    ledger = read_ledger(again, "acme", papers)
    balance(ledger, journals, "Acme")
    assert [event["seq"] for event in ledger.events] == list(range(1, len(ledger.events) + 1))
    assert ledger.report["ok"], ledger.report
    assert ledger.report["events"] == len(ledger.events)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert not ours(home)
    done = [line["ended"] for line in journals.ended if line["what"] == "done"]
    with capsys.disabled():
        print(f"\n./dev up killed and run again: up after {up_at - killed_at:.1f} s, ", end="")
        print(f"no write for {longest_gap(done, killed_at, done[-1]):.1f} s; ", end="")
        print(
            f"{len(journals.names('attempt'))} writes attempted, {len(journals.names('done'))} acknowledged, ",
            end="",
        )
        print(f"{len(ledger.events)} events, verified, signed through {ledger.report['signed_through']}")
