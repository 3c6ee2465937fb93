"""Every process of the product and below it is killed, again and again, while writers write and readers read.

What must hold (DESIGN 1, W11, A1): no acknowledged write is lost or doubled, every event is sealed once, every chain
verifies and is signed through its end; a broker that is away, or has lost all it had, costs time alone.
"""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from local_cloud.cloud import Cloud, exclusive, plan
from local_cloud.console import Console
from local_cloud.home import Home
from local_cloud.supervisor import State, Supervisor
from local_cloud.whole import start_whole
from tests.drill.accounts import Journals, Ledger, balance, chain_is_whole, count, read_ledger
from tests.drill.killing import Kill, eventually, family, kill, start, wait_until_back
from tests.drill.readers import Reader, longest_gap

pytestmark = pytest.mark.drill

ROUNDS = 3
PARTS = ("valkey", "aws", "sealer", "worker", "web", "postgres")
SETTLE_S = 1.5
BURST = 400
ORGANIZATIONS = {"acme": "Acme", "mallet": "Mallet"}
WRITERS = (
    ("acme", "alice", "Acme one", "vera"),
    ("acme", "adam", "Acme two"),
    ("mallet", "mallory", "Mallet one"),
    ("mallet", "mallory", "Mallet two"),
)
VISIBILITY_S = 60  # envforge.celery: a killed worker's tasks come back after this
CHECKPOINT_S = 60  # ENVFORGE_AUDIT_CHECKPOINT_S
GRACE_S = 15
SEALED_WITHIN_S = 15
SLOWEST_WRITE_WITHOUT_BROKER_S = 2.0
RECOVERED_WITHIN_S = 5.0


@dataclass
class Drill:
    """What runs, and what was done to it."""

    cloud: Cloud
    supervisor: Supervisor
    papers: Path
    kills: list[Kill] = field(default_factory=list)
    held: set[str] = field(default_factory=set)

    def kill(self, part: str, *, whole: bool, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Kill a part, do something while it is away, and let the rest go on a little after it is back."""
        leader, at, processes = kill(self.supervisor, part, whole=whole)
        meanwhile()
        back_at = wait_until_back(self.supervisor, part, leader)
        self.kills.append(Kill(part, at, processes, back_at))
        time.sleep(SETTLE_S)

    def kill_worker_at_work(self, *, whole: bool) -> None:
        """Kill the worker with tasks in its hands, by stopping the processes that would have finished them."""
        # Celery's worker may leave when the broker goes, and is started again: it is let come back first.
        eventually(lambda: self.supervisor.state("worker") is State.READY, 60, "the worker's return")
        burst = start(self.cloud, "tests.drill.nudger", str(BURST))
        eventually(lambda: self.broker("LLEN", "celery") > BURST // 8, 30, "a burst of tasks")
        for pid in family(self.supervisor.pid("worker"))[1:]:
            os.kill(pid, signal.SIGSTOP)
        eventually(lambda: self.broker("HLEN", "unacked") > 0, 10, "a task in the worker's hands")
        leader, at, processes = kill(self.supervisor, "worker", whole=whole)
        assert burst.wait(timeout=60) == 0
        self.held = self.in_hand()
        assert self.held, "the worker was killed with empty hands: the drill shows nothing"
        self.kills.append(Kill("worker", at, processes, wait_until_back(self.supervisor, "worker", leader)))
        time.sleep(SETTLE_S)

    def empty_broker(self) -> None:
        """Take from the broker all that it keeps on disk, while it is down."""
        shutil.rmtree(self.cloud.valkey.directory / "appendonlydir")

    def broker(self, *command: str) -> int:
        """A number the broker answers."""
        with redis.Redis.from_url(self.cloud.valkey.url(0)) as client:
            return int(client.execute_command(*command))

    def in_hand(self) -> set[str]:
        """The ids of the tasks a worker has taken from the queue and not acknowledged.

        Others may be lost when the broker dies: between the two steps in which kombu takes a task, or before the
        broker has written it to its file.
        """
        with redis.Redis.from_url(self.cloud.valkey.url(0)) as client:
            messages = [json.loads(message)[0] for message in client.hvals("unacked")]
        return {message["headers"]["id"] for message in messages}

    def tasks_run(self) -> set[str]:
        """The ids of the tasks that the worker has finished."""
        log = (self.cloud.home.logs / "worker.log").read_text(errors="replace")
        return set(re.findall(r"Task envforge\.health\.heartbeat\[([0-9a-f-]+)\] succeeded", log))


@contextmanager
def writers(cloud: Cloud, papers: Path) -> Iterator[list[Path]]:
    """The writers at work; at the end of the block each finishes its last write."""
    journals = [papers / f"writer-{number}.journal" for number in range(len(WRITERS))]
    processes = [
        start(cloud, "tests.drill.writer", str(journal), *words)
        for journal, words in zip(journals, WRITERS, strict=True)
    ]
    try:
        eventually(lambda: all(journal.exists() for journal in journals), 30, "the writers' start")
        yield journals
    finally:
        for process in processes:
            process.terminate()
        left = [process.wait(timeout=60) for process in processes]
    assert left == [0] * len(processes), "a writer broke down"


@pytest.fixture
def drill(home: Home, papers: Path) -> Iterator[Drill]:
    with exclusive(home, "drill"):
        cloud = plan(home, {}, apart=True)
        with Supervisor(home, console=Console()) as supervisor:
            yield Drill(start_whole(cloud, supervisor, Console()), supervisor, papers)


def test_w11_a1_nothing_is_lost_whatever_is_killed(drill: Drill, capsys: pytest.CaptureFixture[str]) -> None:
    port = drill.cloud.ports["web"]
    with (
        Reader(port, "/health/ready") as ready,
        Reader(port, "/.well-known/envforge-audit-keys.json") as keys,
        writers(drill.cloud, drill.papers) as journal_paths,
    ):
        time.sleep(SETTLE_S)
        for number in range(ROUNDS):
            whole = number != 1  # once only the first process, whose children have to notice by themselves
            for part in PARTS:
                if part == "worker":
                    drill.kill_worker_at_work(whole=whole)
                elif part == "valkey" and number == 0:
                    drill.kill(part, whole=whole, meanwhile=drill.empty_broker)
                else:
                    drill.kill(part, whole=whole)
        ended_at = time.monotonic()
    journals = Journals.read(journal_paths)

    unsealed = "SELECT count(*) FROM audit_event WHERE seq IS NULL"
    sealed_in_s = eventually(lambda: count(drill.cloud, unsealed) == 0, SEALED_WITHIN_S, "every event sealed")
    worker_killed_at = max(one.at for one in drill.kills if one.part == "worker")
    left_s = worker_killed_at + VISIBILITY_S + GRACE_S - time.monotonic()
    eventually(lambda: drill.held <= drill.tasks_run(), left_s, "a killed worker's tasks run again")
    tasks_in_s = time.monotonic() - worker_killed_at
    unsigned = "SELECT count(*) FROM audit_chain_head WHERE signed_seq < seq"
    eventually(
        lambda: count(drill.cloud, unsigned) == 0,
        CHECKPOINT_S + GRACE_S,
        "every chain signed through its end",
    )
    signed_in_s = time.monotonic() - ended_at

    ledgers = {slug: read_ledger(drill.cloud, slug, drill.papers) for slug in ORGANIZATIONS}
    with capsys.disabled():
        print(table(drill, ready, keys, journals, ended_at))
        print(
            f"Every event sealed {sealed_in_s:.1f} s after the end, signed through the end after {signed_in_s:.1f} s."
        )
        print(
            f"The {len(drill.held)} tasks in the last killed worker's hands were run {tasks_in_s:.1f} s later."
        )
        for slug, ledger in ledgers.items():
            print(sums(slug, ledger, journals))

    for slug, ledger in ledgers.items():
        balance(ledger, of(journals, slug), ORGANIZATIONS[slug])
        chain_is_whole(ledger)
    assert any(event["kind"] == "access.denied" for event in ledgers["acme"].events)
    for one in drill.kills:
        if one.part in {"valkey", "worker", "aws", "sealer"}:
            during = [line for line in journals.ended if one.at < line["began"] < one.back_at]
            assert not [line for line in during if line["what"] == "failed"], (
                f"writes failed without {one.part}"
            )
            assert max(line["ended"] - line["began"] for line in during) < SLOWEST_WRITE_WITHOUT_BROKER_S
            assert one.part == "valkey" or ready.longest_outage(one.at, one.back_at) < RECOVERED_WITHIN_S
        else:
            done = [
                line["ended"]
                for line in journals.ended
                if line["what"] == "done" and line["ended"] > one.back_at
            ]
            assert min(done) - one.back_at < RECOVERED_WITHIN_S, f"writers did not recover from {one.part}"
            answered = [at for at in ready.answered_at if at > one.back_at]
            assert min(answered) - one.back_at < RECOVERED_WITHIN_S, (
                f"the console did not recover from {one.part}"
            )


def of(journals: Journals, slug: str) -> Journals:
    """The lines of one organization's writers, who bear its name."""
    mine = [line for line in journals.lines if line.get("name", "").startswith(ORGANIZATIONS[slug])]
    return Journals(mine)


def table(drill: Drill, ready: Reader, keys: Reader, journals: Journals, ended_at: float) -> str:
    """What was killed, and what people felt of it: the longest times without a good answer, in seconds."""
    lines = [
        "",
        f"{'killed':<10}{'times':>6}{'processes':>11}{'back':>8}{'/ready':>8}{'keys':>8}{'writers':>9}{'slowest':>9}{'failed':>8}",
    ]
    nexts = [*(one.at for one in drill.kills[1:]), ended_at]
    periods = list(zip(drill.kills, nexts, strict=True))
    done = [line["ended"] for line in journals.ended if line["what"] == "done"]
    for part in PARTS:
        mine = [(one, until) for one, until in periods if one.part == part]
        during = [line for one, until in mine for line in journals.ended if one.at < line["ended"] <= until]
        figures = (
            max(one.back_at - one.at for one, _ in mine),
            max(ready.longest_outage(one.at, until) for one, until in mine),
            max(keys.longest_outage(one.at, until) for one, until in mine),
        )
        lines.append(
            f"{part:<10}{len(mine):>6}{'+'.join(str(one.processes) for one, _ in mine):>11}"
            f"{figures[0]:>8.1f}{figures[1]:>8.1f}{figures[2]:>8.1f}"
            f"{max(longest_gap(done, one.at, until) for one, until in mine):>9.1f}"
            f"{max(line['ended'] - line['began'] for line in during):>9.1f}"
            f"{sum(line['what'] == 'failed' for line in during):>8}"
        )
    return "\n".join(lines)


def sums(slug: str, ledger: Ledger, journals: Journals) -> str:
    """One organization's writes, events and verification in a line."""
    mine = of(journals, slug)
    attempted, done, failed = (mine.names(what) for what in ("attempt", "done", "failed"))
    kept = failed & {name for _, name in ledger.renames}
    verdict = "verified" if ledger.report["ok"] else "NOT VERIFIED"
    return (
        f"{slug}: {len(attempted)} writes attempted, {len(done)} acknowledged, {len(failed)} not "
        f"({len(kept)} of them committed), {len(ledger.events)} events, "
        f"{sum(event['seq'] is not None for event in ledger.events)} sealed, {verdict} through {ledger.report['signed_through']}"
    )
