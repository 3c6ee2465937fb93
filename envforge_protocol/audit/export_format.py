"""The export format `envforge-audit/1`: JSON Lines, written by the server and read by the verifier (A3).

`docs/audit-format.md` describes it for other implementations.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO, NamedTuple, NoReturn

from envforge_protocol.audit.canonical import NotCanonical, canonical
from envforge_protocol.audit.checkpoints import (
    BadCheckpoint,
    Checkpoint,
    hash_from_hex,
    is_chain,
    is_seq,
    is_time,
)

FORMAT = "envforge-audit/1"
MAX_LINE_BYTES = 1024 * 1024

_FIELDS = {
    "header": frozenset({"type", "format", "chain", "name", "exported_at", "start_seq", "filters"}),
    "event": frozenset({"type", "seq", "hash", "body"}),
    "omitted": frozenset({"type", "seq", "digest"}),
    "checkpoint": frozenset({"type", "chain", "seq", "hash", "at", "key_id", "signature"}),
    "end": frozenset({"type", "last_seq", "last_hash", "events", "omitted"}),
}


class Header(NamedTuple):
    """The first line. `name`, `exported_at` and `filters` describe the file; nothing protects them."""

    line: int
    chain: str
    name: str
    exported_at: str
    start_seq: int
    filters: dict[str, object]


class Event(NamedTuple):
    """An event with its body and the chain's hash after it. The body is as read, not checked."""

    line: int
    seq: int
    hash: bytes
    body: dict[str, object]


class Omitted(NamedTuple):
    """An event the export does not show; its digest keeps the chain whole."""

    line: int
    seq: int
    digest: bytes


class CheckpointLine(NamedTuple):
    """A checkpoint; its signature is not checked yet."""

    line: int
    checkpoint: Checkpoint


class End(NamedTuple):
    """The last line."""

    line: int
    last_seq: int
    last_hash: bytes
    events: int
    omitted: int


Record = Header | Event | Omitted | CheckpointLine | End


class FormatError(ValueError):
    """A line is not of this format.

    Attributes:
        line: its number, from 1.
        field: the field at fault, or None when it is no single one.
        seq: the sequence number the line claims, where it can be read.
    """

    def __init__(self, line: int, field: str | None, reason: str, seq: int | None = None) -> None:
        where = f"line {line}" + (f', field "{printable(field)}"' if field is not None else "")
        super().__init__(f"{where}: {reason}")
        self.line = line
        self.field = field
        self.seq = seq


def header_line(
    *, chain: str, name: str, exported_at: str, start_seq: int, filters: Mapping[str, object]
) -> str:
    """The first line. `filters` is empty exactly when the export may omit nothing.

    When `start_seq` is not 0, the checkpoint of that sequence number comes next.
    """
    return _line(
        {
            "type": "header",
            "format": FORMAT,
            "chain": chain,
            "name": name,
            "exported_at": exported_at,
            "start_seq": start_seq,
            "filters": dict(filters),
        }
    )


def event_line(seq: int, hash: bytes, body: dict[str, object]) -> str:  # noqa: A002 - the field's name
    """An event; `hash` is the chain's hash after it."""
    return _line({"type": "event", "seq": seq, "hash": hash.hex(), "body": body})


def omitted_line(seq: int, digest: bytes) -> str:
    """An event that the reader of this export may not see, or did not ask for."""
    return _line({"type": "omitted", "seq": seq, "digest": digest.hex()})


def checkpoint_line(checkpoint: Checkpoint) -> str:
    """A checkpoint; it stands directly after the line with its sequence number."""
    return _line({"type": "checkpoint", **checkpoint.to_json()})


def end_line(*, last_seq: int, last_hash: bytes, events: int, omitted: int) -> str:
    """The last line; without events `last_seq` and `last_hash` are those the export starts from."""
    return _line(
        {
            "type": "end",
            "last_seq": last_seq,
            "last_hash": last_hash.hex(),
            "events": events,
            "omitted": omitted,
        }
    )


def bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, none read further than `read` needs to refuse it: memory stays bounded."""
    while line := file.readline(MAX_LINE_BYTES + 2):
        yield line


def read(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records of an export, one at a time, each checked for form and none for truth.

    Raises:
        FormatError: a line is too long, no JSON object, repeats a key, or lacks, adds or garbles a field.
    """
    for number, line in enumerate(lines, start=1):
        yield _record(number, _json_object(number, line))


def printable(text: str, limit: int = 120) -> str:
    """Text from a file made safe for a terminal: control characters escaped, and cut at `limit`."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return escaped if len(text) <= limit else escaped + "..."


def _line(value: dict[str, object]) -> str:
    return canonical(value).decode()


def _json_object(number: int, line: bytes) -> dict[str, object]:
    if len(line.rstrip(b"\n")) > MAX_LINE_BYTES:
        raise FormatError(number, None, "is longer than 1 MiB")
    try:
        value = _decode(line.decode())
    except UnicodeDecodeError:
        raise FormatError(number, None, "is not UTF-8 text") from None
    except _RepeatedKeyError as error:
        raise FormatError(number, error.key, "stands there twice") from None
    except _NotIntegerError as error:
        raise FormatError(
            number, None, f"holds the number {printable(str(error), 40)}; only integers are allowed"
        ) from None
    except RecursionError:
        raise FormatError(number, None, "is nested too deeply") from None
    except ValueError:
        raise FormatError(number, None, "is not JSON, or is cut off") from None
    if type(value) is not dict:
        raise FormatError(number, None, "is not a JSON object")
    return value


class _RepeatedKeyError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class _NotIntegerError(Exception):
    pass


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RepeatedKeyError(key)
            seen.add(key)
    return value


def _refuse_number(text: str) -> NoReturn:
    raise _NotIntegerError(text)


_decode = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_refuse_number, parse_constant=_refuse_number
).decode


def _record(line: int, value: dict[str, object]) -> Record:
    kind = value.get("type")
    fields = _FIELDS.get(kind) if isinstance(kind, str) else None
    claimed = value.get("seq")
    seq = claimed if type(claimed) is int else None
    if fields is None:
        reason = "is missing" if kind is None else "is not one of " + ", ".join(_FIELDS)
        raise FormatError(line, "type", reason, seq)
    if value.keys() != fields:
        for name in sorted(fields - value.keys()):
            raise FormatError(line, name, "is missing", seq)
        for name in sorted(value.keys() - fields):
            raise FormatError(line, name, "does not belong here", seq)
    if kind == "event":
        body = value["body"]
        if not isinstance(body, dict):
            raise FormatError(line, "body", "is not a JSON object", seq)
        return Event(line, _event_seq(line, value), _hash(line, value, "hash"), body)
    if kind == "omitted":
        return Omitted(line, _event_seq(line, value), _hash(line, value, "digest"))
    if kind == "checkpoint":
        try:
            return CheckpointLine(line, Checkpoint.from_json(value))
        except BadCheckpoint as error:
            raise FormatError(line, error.field, str(error), seq) from None
    return _header(line, value) if kind == "header" else _end(line, value)


def _header(line: int, value: dict[str, object]) -> Header:
    chain, name, exported_at, filters = (value[f] for f in ("chain", "name", "exported_at", "filters"))
    if value["format"] != FORMAT:
        raise FormatError(line, "format", f"is not {FORMAT}; a newer envforge may know it")
    if not isinstance(chain, str) or not is_chain(chain):
        raise FormatError(line, "chain", "is not a lower-case UUID")
    if not isinstance(name, str):
        raise FormatError(line, "name", "is not a string")
    if not isinstance(exported_at, str) or not is_time(exported_at):
        raise FormatError(line, "exported_at", "is not a time such as 2026-01-31T09:00:00.000000Z")
    if not isinstance(filters, dict):
        raise FormatError(line, "filters", "is not a JSON object")
    try:
        canonical({"name": name, "filters": filters})
    except NotCanonical as error:
        raise FormatError(line, error.path, "has no canonical form") from None
    return Header(line, chain, name, exported_at, _number(line, value, "start_seq"), filters)


def _end(line: int, value: dict[str, object]) -> End:
    return End(
        line,
        _number(line, value, "last_seq"),
        _hash(line, value, "last_hash"),
        _number(line, value, "events"),
        _number(line, value, "omitted"),
    )


def _event_seq(line: int, value: dict[str, object]) -> int:
    seq = _number(line, value, "seq")
    if seq == 0:
        raise FormatError(line, "seq", "is 0; events are numbered from 1")
    return seq


def _number(line: int, value: dict[str, object], field: str) -> int:
    number = value[field]
    if type(number) is not int or not is_seq(number):
        raise FormatError(line, field, "is not a whole number from 0 to 2**53-1")
    return number


def _hash(line: int, value: dict[str, object], field: str) -> bytes:
    found = hash_from_hex(value[field])
    if found is None:
        seq = value.get("seq")
        raise FormatError(
            line, field, "is not 64 lower-case hexadecimal digits", seq if type(seq) is int else None
        )
    return found
