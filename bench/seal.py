"""Sealing, exporting and verifying, each against what it cannot go below.

Sealing: a pass against the same pass without hashing, over a backlog of a thousand organizations, in turns.
Verifying: against reading the same lines with `json` and SHA-256 alone, in turns.
Exporting: what a ten times longer export needs in memory above a short one's.
"""

import hashlib
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch
from uuid import UUID

from bench import _django
from bench._figures import Figures, p50, quick
from bench._load import Load, org_id

# isort: split
from audit import export, sealer
from envforge import tenancy
from envforge_protocol.audit.export_format import bounded_lines
from envforge_protocol.audit.verify import verify

GOAL_SEAL = 1.5
GOAL_VERIFY = 5.0
GOAL_EXPORT_MIB = 8.0
NO_HASH = bytes(32)


def main() -> int:
    scale = 0.02 if quick() else 1.0
    _django.migrate()
    figures = Figures("seal: sealing, exporting, verifying")
    backlog(figures, int(100_000 * scale))
    with TemporaryDirectory() as directory:
        path = Path(directory) / "export.jsonl"
        exporting(figures, int(200_000 * scale), path)
        verifying(figures, path, rounds=3)
    return figures.finish()


def backlog(figures: Figures, events: int) -> None:
    """Seal a backlog, each second pass without its hashes."""
    load(events, orgs=1_000, big_percent=0)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    sealed = events
    hashing = True
    while True:
        with as_it_is() if hashing else without_hashes():
            taken, count = timed(sealer.seal_pass)
        if not count:
            break
        if count == sealer.EVENTS_A_PASS or events < sealer.EVENTS_A_PASS:
            seconds[hashing].append(taken / count)
        sealed -= count
        hashing = not hashing
    assert sealed == 0, f"{sealed} of {events} events were not sealed"
    figures.tell(f"sealing {events} events of 1000 organizations", f"{1 / p50(seconds[True]):.0f} events/s")
    if seconds[False]:
        figures.tell("the same without hashing", f"{1 / p50(seconds[False]):.0f} events/s")
        figures.at_most("time of sealing against it", p50(seconds[True]) / p50(seconds[False]), GOAL_SEAL)


def exporting(figures: Figures, events: int, path: Path) -> None:
    """Export a long chain and one of a tenth of its length, each in a process of its own."""
    load(events + events // 9, orgs=2, big_percent=90)
    while sealer.seal_pass():
        pass
    context = multiprocessing.get_context("spawn")
    peaks = []
    for number in (1, 0):
        with context.Pool(1) as pool:
            count, taken, peak_mib = pool.apply(export_to, (org_id(number), path))
        peaks.append(peak_mib)
        figures.tell(f"exporting {count} events", f"{count / taken:.0f} events/s, peak {peak_mib:.1f} MiB")
    figures.at_most("peak memory above the short export's", peaks[1] - peaks[0], GOAL_EXPORT_MIB, " MiB")


def export_to(org: UUID, path: Path) -> tuple[int, float, float]:
    """How many events it was, seconds, and this process' peak memory in MiB."""
    started = time.perf_counter()
    with tenancy.enter(org), path.open("w") as file:
        file.writelines(f"{line}\n" for line in export.lines("acme"))
    taken = time.perf_counter() - started
    with path.open("rb") as file:
        return sum(1 for _ in file) - 2, taken, peak_mib()


def peak_mib() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory too, from before this program began
        words = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:")).split()
        return int(words[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def verifying(figures: Figures, path: Path, rounds: int) -> None:
    """Verify the file, and read it with no more than JSON and SHA-256."""
    seconds: dict[Callable[[Path], int], list[float]] = {verified: [], read: []}
    for _ in range(rounds):
        for way, taken in seconds.items():
            one, events = timed(lambda way=way: way(path))  # type: ignore[misc]
            taken.append(one / events)
    events_a_second = {way: 1 / p50(taken) for way, taken in seconds.items()}
    figures.tell(f"verifying {events} events", f"{events_a_second[verified]:.0f} events/s")
    figures.tell("json and SHA-256 of the same bytes", f"{events_a_second[read]:.0f} events/s")
    figures.at_most(
        "time of verifying against it", events_a_second[read] / events_a_second[verified], GOAL_VERIFY
    )


def verified(path: Path) -> int:
    with path.open("rb") as file:
        report = verify(bounded_lines(file), None, allow_unsigned=True)
    assert report.ok, report
    return report.events


def read(path: Path) -> int:
    lines = 0
    with path.open("rb") as file:
        for line in file:
            json.loads(line)
            hashlib.sha256(line).digest()
            lines += 1
    return lines - 2


def load(events: int, *, orgs: int, big_percent: int) -> None:
    now = datetime.now(UTC)
    with _django.superuser() as admin:
        Load(events, orgs, big_percent, since=now - timedelta(days=2), until=now, sealed=False).write(admin)


@contextmanager
def without_hashes() -> Iterator[None]:
    """The sealer's pass with the same statements and no canonical form, digest or link; its chains are worth nothing."""
    with (
        patch.object(sealer, "body_of", lambda _: {}),
        patch.object(sealer, "digest", lambda _: NO_HASH),
        patch.object(sealer, "link", lambda *_: NO_HASH),
    ):
        yield


@contextmanager
def as_it_is() -> Iterator[None]:
    yield


def timed(run: Callable[[], int]) -> tuple[float, int]:
    """Seconds, and the count that it answers."""
    started = time.perf_counter()
    count = run()
    return time.perf_counter() - started, count


if __name__ == "__main__":
    sys.exit(main())
