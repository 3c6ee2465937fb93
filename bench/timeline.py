"""What a page of a year's timeline costs: page 10,000 and filtered pages against page 1, in turns.

Two million sealed events of a thousand organizations over twelve months, a quarter of them one organization's: its
pages are read. What PostgreSQL touched for a page is its own account of the very queries (EXPLAIN ANALYZE, BUFFERS).
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from bench import _django
from bench._figures import Figures, ms, p50, quick
from bench._load import Load, org_id, person_id

# isort: split
from django.db import connection

from audit import selectors
from audit.filters import Filter
from envforge import tenancy

GOAL_DEEP = 1.15
GOAL_FILTERED = 3.0
GOAL_PARTITIONS = 3
ORG = org_id(0)
Place = tuple[datetime, UUID] | None


@dataclass(frozen=True, slots=True)
class Touched:
    """What PostgreSQL did for a page."""

    rows: int
    buffers: int
    partitions: int
    sorted_rows: int

    def __str__(self) -> str:
        return f"{self.rows} rows, {self.buffers} buffers, {self.partitions} partitions, {self.sorted_rows} rows sorted"


def main() -> int:
    events, depth, rounds = (20_000, 90, 5) if quick() else (2_000_000, 10_000, 150)
    _django.migrate()
    until = datetime.now(UTC)
    since = until - timedelta(days=365)
    with _django.superuser() as admin:
        started = time.perf_counter()
        Load(events, 1_000, 26, since=since, until=until, sealed=True).write(admin)
        print(f"{events} events in {time.perf_counter() - started:.0f} s", flush=True)
        deep = place(admin, depth)
        middle = place(admin, depth // 2)
    assert deep
    assert middle
    request = request_at(middle)
    pages: dict[str, Callable[[], selectors.Page]] = {
        "page 1": lambda: selectors.page(Filter()),
        f"page {depth}": lambda: selectors.page(Filter(), before=deep),
        "since and until, half a year ago": lambda: selectors.page(
            Filter(since=middle[0] - timedelta(days=60), until=middle[0])
        ),
        "a common kind": lambda: selectors.page(Filter(kind="shell.connected")),
        "a common kind, deep": lambda: selectors.page(Filter(kind="shell.connected"), before=deep),
        "a rare kind": lambda: selectors.page(Filter(kind="secret.rotated")),
        "one of forty people": lambda: selectors.page(Filter(actor_id=person_id(0, 3))),
        "somebody who did little": lambda: selectors.page(Filter(actor_id=person_id(0, 0))),
        "one request, half a year ago": lambda: selectors.page(Filter(request_id=request)),
    }
    figures = Figures(f"timeline: a page of {selectors.PAGE_SIZE} of {events} events, median / p95")
    with tenancy.enter(ORG):
        seconds = in_turns(pages, rounds)
        first = p50(seconds["page 1"])
        for name, page in pages.items():
            touched = explain(page)
            figures.tell(name, ms(seconds[name]))
            figures.tell(f"  {touched}", "")
            if name == f"page {depth}":
                figures.at_most("  against page 1", p50(seconds[name]) / first, GOAL_DEEP)
                figures.at_most("  partitions", touched.partitions, GOAL_PARTITIONS)
            elif name != "page 1":
                figures.at_most("  against page 1", p50(seconds[name]) / first, GOAL_FILTERED)
            figures.at_most("  rows sorted", touched.sorted_rows, selectors.PAGE_SIZE + 1)
    return figures.finish()


def place(admin: Any, page: int) -> Place:
    """Where a page of the big organization begins."""
    query = "SELECT at, id FROM audit_event WHERE org_id = %s ORDER BY at DESC, id DESC LIMIT 1 OFFSET %s"
    found: Place = admin.execute(query, [ORG, (page - 1) * selectors.PAGE_SIZE - 1]).fetchone()
    return found


def request_at(there: tuple[datetime, UUID]) -> str:
    with tenancy.enter(ORG):
        [event] = selectors.page(Filter(), before=there, size=1).events
    return str(event.request_id)


def in_turns(pages: dict[str, Callable[[], selectors.Page]], rounds: int) -> dict[str, list[float]]:
    """The seconds of each; the first rounds warm up and are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in pages}
    for number in range(-3, rounds):
        for name, page in pages.items():
            started = time.perf_counter()
            page()
            taken = time.perf_counter() - started
            if number >= 0:
                seconds[name].append(taken)
    return seconds


def explain(page: Callable[[], selectors.Page]) -> Touched:
    """What the queries of a page touch."""
    queries: list[tuple[str, Any]] = []

    def listen(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        queries.append((sql, parameters))
        return execute(sql, parameters, many, context)

    with connection.execute_wrapper(listen):
        page()
    total = Touched(0, 0, 0, 0)
    touched = set()
    with connection.cursor() as cursor:
        for query, parameters in queries:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", parameters)
            found = cursor.fetchone()[0]
            plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
            total = replace(
                total, buffers=total.buffers + plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
            )
            for node in nodes(plan):
                read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
                if "Relation Name" in node and node["Actual Loops"]:
                    touched.add(node["Relation Name"])
                    total = replace(total, rows=total.rows + round(read))
                if "Sort" in node["Node Type"]:
                    total = replace(total, sorted_rows=total.sorted_rows + round(read))
    return replace(total, partitions=len(touched))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


if __name__ == "__main__":
    sys.exit(main())
