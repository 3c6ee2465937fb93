"""Making an export: at the database's pace, into a file, before its first byte goes out (docs/decisions/0004-exports.md)."""

import time
from tempfile import TemporaryFile
from typing import BinaryIO

from audit import export
from audit.append import append
from audit.filters import Filter
from audit.kinds import EventKind
from envforge.actor import Actor
from envforge.errors import Invalid
from orgs import policy
from orgs.policy import Action
from orgs.selectors import visible
from timeline import limits
from timeline.files import Lines
from timeline.limits import Listener, Made, require_room
from timeline.rows import Form


def make_export(*, actor: Actor, slug: str, wanted: Filter, form: Form, tell: Listener) -> Made:
    """Write the wanted events to a file that has no name and vanishes when it is closed.

    That it was exported is on record, in the same transaction, before the caller has any of it.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: it takes longer than `LONGEST_S`.
        Unavailable: there is no room for it.
        Abandoned: the listener said so; nothing is recorded.
    """
    file = TemporaryFile("w+b")  # noqa: SIM115 - it is the caller's to close
    try:
        with visible(actor, slug) as (found, _):
            policy.require(actor, Action.AUDIT_EXPORT, found)
            lines = Lines(form, slug, wanted, export.span_of(wanted))
            _write(file, lines, tell)
            append(EventKind.AUDIT_EXPORTED, actor=actor, target=found, form=form.value, events=lines.events)
        size = file.tell()
        file.seek(0)
        return Made(file, size, lines.events)
    except BaseException:
        file.close()
        raise


def _write(file: BinaryIO, lines: Lines, tell: Listener) -> None:
    latest = time.monotonic() + limits.LONGEST_S
    tell(0, lines.span.size)
    for number, line in enumerate(lines, start=1):
        file.write(line.encode())
        if number % limits.STEP == 0:
            tell(min(lines.passed, lines.span.size), lines.span.size)
            if time.monotonic() > latest:
                words = "There are too many events for one file. Choose shorter periods, one after the other."
                raise Invalid(words, {"since": words})
            require_room()
