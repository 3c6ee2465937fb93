"""An organization's sealed events as JSON Lines that verify with no server (docs/audit-format.md).

Streams at constant memory. Runs inside an entered tenancy; who may export, and that it was done, is the caller's to
ask and to record.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from audit.body import COLUMNS, body_of
from audit.facts import rfc3339
from audit.filters import Filter
from audit.models import Checkpoint as StoredCheckpoint
from audit.models import Event
from envforge import tenancy
from envforge_protocol.audit import export_format as write
from envforge_protocol.audit.canonical import digest, genesis
from envforge_protocol.audit.checkpoints import Checkpoint

BATCH = 2_000
_CHECKPOINT_COLUMNS = "seq, hash, at, key_id, signature"


@dataclass(frozen=True, slots=True)
class Span:
    """The part of the chain an export holds: after `start` (a checkpoint, or the chain's beginning) through `last_seq`."""

    start: Checkpoint | None
    last_seq: int

    @property
    def first_seq(self) -> int:
        return self.start.seq + 1 if self.start else 1

    @property
    def size(self) -> int:
        """How many events it spans, wanted or not."""
        return max(self.last_seq - self.first_seq + 1, 0)


def span_of(wanted: Filter) -> Span:
    """The shortest verifiable span that holds every sealed event the filter's period wants.

    It begins behind the last checkpoint before the period and ends at the first one behind it, or at the chain's head.
    """
    org_id = tenancy.current_org()
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq FROM audit_chain_head WHERE org_id = %s", [org_id])
        row = cursor.fetchone()
        head_seq = row[0] if row else 0
        start, last_seq = None, head_seq
        if wanted.since:
            cursor.execute(
                "SELECT min(seq) FROM audit_event WHERE org_id = %s AND at >= %s AND seq IS NOT NULL",
                [org_id, wanted.since],
            )
            first = (cursor.fetchone() or [None])[0] or head_seq + 1
            start = _checkpoint(cursor, org_id, "seq < %s ORDER BY seq DESC", first)
        if wanted.until:
            cursor.execute(
                "SELECT max(seq) FROM audit_event WHERE org_id = %s AND at < %s AND seq IS NOT NULL",
                [org_id, wanted.until],
            )
            last = max((cursor.fetchone() or [None])[0] or 0, start.seq if start else 0)
            end = _checkpoint(cursor, org_id, "seq >= %s ORDER BY seq", last)
            last_seq = end.seq if end else head_seq
    return Span(start, last_seq)


def lines(name: str, wanted: Filter | None = None, *, span: Span | None = None) -> Iterator[str]:
    """The export's lines, without newlines.

    Args:
        name: the organization's slug, for the reader.
        wanted: which events stand in full; the others are represented by their digests.
        span: what `span_of` answered, for who has asked already.
    """
    org_id = tenancy.current_org()
    wanted = wanted or Filter()
    span = span or span_of(wanted)
    start_seq = span.first_seq - 1
    yield write.header_line(
        chain=str(org_id),
        name=name,
        exported_at=rfc3339(timezone.now()),
        start_seq=start_seq,
        filters=wanted.as_json(),
    )
    if span.start:
        yield write.checkpoint_line(span.start)
    last_hash = span.start.hash if span.start else genesis(str(org_id))
    last_seq, told, omitted = start_seq, 0, 0
    checkpoints = _checkpoints(org_id, start_seq, span.last_seq)
    upcoming = next(checkpoints, None)
    for row in _events(org_id, wanted, start_seq, span.last_seq):
        *columns, last_seq, hashed, is_wanted = row
        last_hash = bytes(hashed)
        body = body_of(columns)
        if is_wanted:
            told += 1
            yield write.event_line(last_seq, last_hash, body)
        else:
            omitted += 1
            yield write.omitted_line(last_seq, digest(body))
        if upcoming and upcoming.seq == last_seq:
            yield write.checkpoint_line(upcoming)
            upcoming = next(checkpoints, None)
    yield write.end_line(last_seq=last_seq, last_hash=last_hash, events=told, omitted=omitted)


def events(wanted: Filter, span: Span) -> Iterator[Event]:
    """The span's wanted events, whole and in their order; for reading, since what is left out leaves no trace."""
    condition, parameters = wanted.sql()
    columns = [column.attname for column in Event._meta.concrete_fields]
    query = (
        f"SELECT {', '.join(columns)} FROM audit_event "  # noqa: S608 - constants and placeholders
        f"WHERE org_id = %s AND seq > %s AND seq <= %s AND {condition} ORDER BY seq"
    )
    place = [tenancy.current_org(), span.first_seq - 1, span.last_seq]
    for row in _stream("export_reading", query, [*place, *parameters]):
        event = Event(*row)
        # As Django's own fields read it: this cursor is psycopg's.
        event.facts = json.loads(row[columns.index("facts")])
        yield event


def _events(org_id: UUID, wanted: Filter, after_seq: int, last_seq: int) -> Iterator[Any]:
    condition, parameters = wanted.sql()
    query = (
        f"SELECT {', '.join(COLUMNS)}, seq, hash, ({condition}) FROM audit_event "  # noqa: S608 - constants and placeholders
        "WHERE org_id = %s AND seq > %s AND seq <= %s ORDER BY seq"
    )
    return _stream("export_events", query, [*parameters, org_id, after_seq, last_seq])


def _checkpoints(org_id: UUID, after_seq: int, last_seq: int) -> Iterator[Checkpoint]:
    query = f"SELECT {_CHECKPOINT_COLUMNS} FROM audit_checkpoint WHERE org_id = %s AND seq > %s AND seq <= %s ORDER BY seq"  # noqa: S608 - constants
    return (
        _checkpoint_of(org_id, row)
        for row in _stream("export_checkpoints", query, [org_id, after_seq, last_seq])
    )


def _stream(name: str, query: str, parameters: list[Any]) -> Iterator[Any]:
    """Rows through a server-side cursor: the client holds one batch."""
    connection.ensure_connection()
    with connection.connection.cursor(name=name) as cursor:
        cursor.execute(query, parameters)
        yield from chain.from_iterable(iter(lambda: cursor.fetchmany(BATCH), []))


def _checkpoint(cursor: Any, org_id: UUID, condition: str, seq: int) -> Checkpoint | None:
    cursor.execute(
        f"SELECT {_CHECKPOINT_COLUMNS} FROM audit_checkpoint WHERE org_id = %s AND {condition} LIMIT 1",  # noqa: S608 - constants
        [org_id, seq],
    )
    row = cursor.fetchone()
    return _checkpoint_of(org_id, row) if row else None


def _checkpoint_of(org_id: UUID, row: Any) -> Checkpoint:
    seq, hashed, at, key_id, signature = row
    return read_checkpoint(
        StoredCheckpoint(org_id=org_id, seq=seq, hash=hashed, at=at, key_id=key_id, signature=signature)
    )


def read_checkpoint(row: StoredCheckpoint) -> Checkpoint:
    """A stored checkpoint as it stands in exports."""
    return Checkpoint(
        chain=str(row.org_id),
        seq=row.seq,
        hash=bytes(row.hash),
        at=rfc3339(row.at),
        key_id=row.key_id,
        signature=bytes(row.signature),
    )
