"""`./dev up` itself is killed while people write: the next one finds nothing left running and all that was promised."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

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
RECOVERED_WITHIN_S = 5.0
PARTS = 8
UNSEALED = "SELECT count(*) FROM audit_event WHERE seq IS NULL"


class Runs:
    """`./dev up` and a writer as processes of their own; none outlives the block."""

    def __init__(self, home: Home, papers: Path) -> None:
        self.home = home
        self.papers = papers
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Runs":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=60)

    def up(self, log_name: str) -> tuple["subprocess.Popen[bytes]", Cloud]:
        """`./dev up`, once it has said where it is."""
        log = self.papers / log_name
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "local_cloud", "up"],
                cwd=REPOSITORY,
                env={"PATH": os.environ["PATH"], "ENVFORGE_HOME": str(self.home.root)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        eventually(
            lambda: "EnvForge is up" in log.read_text() or process.poll() is not None, UP_WITHIN_S, "up"
        )
        cloud = running(self.home, {})
        assert cloud is not None, log.read_text()
        return process, cloud

    def writer(self, cloud: Cloud, journal: Path) -> "subprocess.Popen[bytes]":
        """A writer at work."""
        process = start(cloud, "tests.drill.writer", str(journal), "acme", "alice", "Acme one")
        self.processes.append(process)
        eventually(journal.exists, 30, "the writer's start")
        return process


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


def test_w11_a1_killing_dev_up_itself_leaves_nothing_running_and_loses_nothing(
    home: Home, papers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = papers / "writer.journal"
    with Runs(home, papers) as runs:
        process, cloud = runs.up("first.log")
        writer = runs.writer(cloud, journal)
        time.sleep(WRITES_FOR_S)
        first = set(ours(home))
        assert len(first) > PARTS
        killed_at = time.monotonic()
        process.kill()
        process.wait()

        process, again = runs.up("second.log")
        up_at = time.monotonic()
        assert not first & set(ours(home)), "a process of the first run is left beside those of the second"
        assert dict(again.ports) == dict(cloud.ports), "people's addresses changed"
        eventually(lambda: done_after(journal, up_at), RECOVERED_WITHIN_S, "the writer's recovery")
        writer.terminate()
        assert writer.wait(timeout=30) == 0
        eventually(lambda: count(again, UNSEALED) == 0, SEALED_WITHIN_S, "every event sealed")

        journals = Journals.read([journal])
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
        print(
            f"\n./dev up killed and run again: up after {up_at - killed_at:.1f} s, no write for "
            f"{longest_gap(done, killed_at, done[-1]):.1f} s; {len(journals.names('attempt'))} writes attempted, "
            f"{len(journals.names('done'))} acknowledged, {len(journals.names('failed'))} not; {len(ledger.events)} "
            f"events, all sealed and verified, signed through {ledger.report['signed_through']}"
        )


def done_after(journal: Path, moment: float) -> bool:
    """Whether a write that began after a moment was acknowledged."""
    return any(line["what"] == "done" and line["began"] > moment for line in Journals.read([journal]).ended)
