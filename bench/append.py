"""What an event costs the write it tells of: `rename_organization` against its twin that appends nothing.

The twin is the operation itself with `append` replaced by nothing: same transaction, same lock, policy and update.
The limit is psycopg alone sending the statements that Django sent. Rounds of each take turns; with two writers, both
run the same kind of round at the same time, in organizations of their own.
"""

import multiprocessing
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import chain, count
from typing import Any
from unittest.mock import patch
from uuid import UUID

from bench import _django
from bench._figures import Figures, ms, p50, p95, quick

# isort: split
import psycopg
from django.conf import settings
from django.db import connection

from audit.append import append
from envforge import request_id
from envforge.actor import SYSTEM
from envforge.ids import uuid7
from orgs import operations
from orgs.models import Person
from orgs.operations import organizations

GOAL = 1.25
WRITE, TWIN, LIMIT, LIMIT_TWIN = (
    "write with its event",
    "without the event",
    "psycopg, with",
    "psycopg, without",
)
Rounds = list[list[float]]
Latencies = dict[str, Rounds]

_names = (f"Acme {number}" for number in count(1))
_barrier: Any = None


def main() -> int:
    rounds, writes = (2, 10) if quick() else (48, 20)
    _django.migrate()
    figures = Figures("append: latency of a durable write, median / p95")
    for writers in (1, 2):
        measured = measure(writers, rounds, writes)
        told = f"{writers} writer{'s' if writers > 1 else ''}"
        for kind, latencies in measured.items():
            figures.tell(f"{told}, {kind}", ms([*chain(*latencies)]))
        figures.at_most(f"{told}, ratio to the twin", ratio(measured[WRITE], measured[TWIN], p50), GOAL)
        figures.tell(f"{told}, ratio of p95", f"{ratio(measured[WRITE], measured[TWIN], p95):.2f}")
        figures.tell(
            f"{told}, ratio of the limits", f"{ratio(measured[LIMIT], measured[LIMIT_TWIN], p50):.2f}"
        )
    return figures.finish()


def measure(writers: int, rounds: int, writes: int) -> Latencies:
    """All writers' latencies in seconds, by kind and round."""
    context = multiprocessing.get_context("spawn")
    together: Latencies = defaultdict(list)
    barrier = context.Barrier(writers)
    with ProcessPoolExecutor(writers, mp_context=context, initializer=remember, initargs=(barrier,)) as pool:
        for latencies in pool.map(write_rounds, [rounds] * writers, [writes] * writers):
            for kind, seconds in latencies.items():
                together[kind] += seconds
    return together


def ratio(rounds: Rounds, twin_rounds: Rounds, figure: Callable[[Sequence[float]], float]) -> float:
    """The median of the rounds' ratios: what else the machine does in a while falls on both sides of one of them."""
    return p50([figure(one) / figure(twin) for one, twin in zip(rounds, twin_rounds, strict=True)])


def remember(barrier: Any) -> None:
    """Keep what holds the writers' rounds together, in a writer's process."""
    globals()["_barrier"] = barrier


def write_rounds(rounds: int, writes: int) -> Latencies:
    """One writer's life. The first round of each kind warms up and is not counted."""
    request_id.begin()
    subject = f"alice|{uuid7()}"
    alice = operations.remember_person(
        issuer="https://issuer.test/",
        subject=subject,
        email="alice@acme.test",
        email_verified=True,
        name="Alice",
    )
    acme = operations.create_organization(
        actor=SYSTEM, slug=f"acme-{uuid7().hex[-12:]}", name="Acme", owner=alice
    )
    latencies: Latencies = defaultdict(list)
    with raw(alice, acme.id, event=True) as limit, raw(alice, acme.id, event=False) as limit_twin:
        kinds = {
            WRITE: renaming(alice, acme.id),
            TWIN: renaming(alice, acme.id),
            LIMIT: limit,
            LIMIT_TWIN: limit_twin,
        }
        for number in range(rounds + 1):
            # Each kind comes first, second, third and last equally often.
            order = [*kinds][number % 4 :] + [*kinds][: number % 4]
            for kind in order:
                _barrier.wait()
                with patch.object(organizations, "append", untold if kind == TWIN else append):
                    taken = [timed(kinds[kind]) for _ in range(writes)]
                if number:
                    latencies[kind].append(taken)
    return latencies


def timed(write: Callable[[], None]) -> float:
    started = time.perf_counter()
    write()
    return time.perf_counter() - started


def untold(*_: object, **__: object) -> None:
    """In the place of `append`."""


def renaming(alice: Person, org_id: UUID) -> Callable[[], None]:
    actor = alice.as_actor()

    def rename() -> None:
        operations.rename_organization(actor=actor, org_id=org_id, name=next(_names))

    return rename


@contextmanager
def raw(alice: Person, org_id: UUID, *, event: bool) -> Iterator[Callable[[], None]]:
    """The same statements, as Django sends them, by psycopg on a connection of its own that stays open."""
    statements: list[tuple[str, list[Any]]] = []

    def listen(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        statements.append((sql, list(parameters or ())))
        return execute(sql, parameters, many, context)

    with (
        connection.execute_wrapper(listen),
        patch.object(organizations, "append", append if event else untold),
    ):
        renaming(alice, org_id)()
    config = settings.DATABASES["default"]
    address = {"host": config["HOST"], "port": config["PORT"], "dbname": config["NAME"]}
    with psycopg.connect(**address, user=config["USER"], password=config["PASSWORD"]) as apart:

        def rename() -> None:
            with apart.transaction():
                for sql, parameters in statements:
                    if sql.lstrip().startswith("INSERT"):
                        parameters[0] = uuid7()
                    elif sql.startswith("UPDATE"):
                        parameters[0] = next(_names)
                    apart.execute(sql, parameters)

        yield rename


if __name__ == "__main__":
    sys.exit(main())
