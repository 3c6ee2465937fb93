"""The placement history as a made file: on record before anybody has a byte of it (docs/decisions/0004-exports.md, V2)."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import Actor
from envforge.errors import Invalid
from hosts import history
from hosts.history import ALWAYS, Form, Period
from orgs import policy
from orgs.policy import Action
from orgs.selectors import visible
from timeline.deliveries import Order
from timeline.exports import LONGEST_S, STEP, Listener, Made, require_room

TOO_MANY = (
    "There are too many placements for one file. Choose shorter periods over the API, one after the other."
)


def order(*, actor: Actor, slug: str, form: Form, period: Period = ALWAYS) -> Order:
    """An order of the history of a period; policy is asked when it is made."""
    return Order(
        actor=actor,
        make=lambda tell: make_export(actor=actor, slug=slug, form=form, period=period, tell=tell),
        file_name=form.file_name(slug),
        file_type=form.content_type,
    )


def make_export(*, actor: Actor, slug: str, form: Form, period: Period, tell: Listener) -> Made:
    """Write the organization's placements to a file that has no name and vanishes when it is closed.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: it takes longer than `LONGEST_S`.
        Unavailable: there is no room for it.
        Abandoned: the listener said so; nothing is recorded.
    """
    file = TemporaryFile("w+b")  # noqa: SIM115 - it is the caller's to close
    try:
        with visible(actor, slug) as (found, _):
            policy.require(actor, Action.PLACEMENT_EXPORT, found)
            total = history.placements(period).count()
            count = _write(file, history.export_lines(found.id, period), form, total, tell)
            append(EventKind.PLACEMENT_EXPORTED, actor=actor, target=found, form=form.value, placements=count)
        size = file.tell()
        file.seek(0)
        return Made(file, size, count)
    except BaseException:
        file.close()
        raise


def _write(file: BinaryIO, rows: Generator[dict[str, Any]], form: Form, total: int, tell: Listener) -> int:
    """Write the rows; answers how many there were."""
    count, latest = 0, time.monotonic() + LONGEST_S

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal count
        for count, row in enumerate(rows, start=1):
            yield row
            if count % STEP == 0:
                tell(count, total)
                if time.monotonic() > latest:
                    raise Invalid(TOO_MANY, {"since": TOO_MANY})
                require_room()

    tell(0, total)
    # An export that is given up leaves no half-read cursor behind.
    with closing(rows):
        file.writelines(history.written(counted(), form))
    return count
