"""What is asked of the timeline, read from an address: the same words in the console and in the API."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_date, parse_datetime

from audit.facts import MAX_NAME_LENGTH
from audit.filters import Filter
from audit.kinds import BY_NAME
from envforge.cursors import Place, read_cursor
from envforge.errors import Invalid

_REQUEST_ID = re.compile(r"req_[0-9a-f]{32}")


class Unreadable(ValueError):
    """A value that cannot be read; the message says what can."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What could be read, the text that was given, and of the rest what is wrong, by parameter."""

    wanted: Filter
    given: dict[str, str]
    wrong: dict[str, str] = field(default_factory=dict)

    def required(self) -> Filter:
        """The filter, where all of it could be read.

        Raises:
            Invalid: says of each parameter what is wrong.
        """
        if self.wrong:
            raise Invalid("These filters cannot be used.", self.wrong)
        return self.wanted


def read_filter(parameters: Mapping[str, str]) -> Asked:
    """Read the filters among the parameters; empty ones are not given."""
    given = {name: text for name in READERS if (text := parameters.get(name, "").strip())}
    read: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, text in given.items():
        column, reader = READERS[name]
        try:
            read[column] = reader(text)
        except Unreadable as unreadable:
            wrong[name] = str(unreadable)
    if "since" in read and "until" in read and read["since"] >= read["until"]:
        wrong["until"] = "This is not after the beginning."
        del read["until"]
    return Asked(Filter(**read), given, wrong)


def read_place(text: str) -> Place | None:
    """The place a page goes on from; None at the beginning.

    Raises:
        Unreadable: no page ended there.
    """
    if not text:
        return None
    try:
        return read_cursor(text)
    except ValueError:
        raise Unreadable("This is no place in the timeline; begin without it.") from None


def _kind(text: str) -> str:
    if text not in BY_NAME:
        raise Unreadable("There is no such kind of event.")
    return text


def _id(text: str) -> str:
    if len(text) > MAX_NAME_LENGTH or not text.isprintable():
        raise Unreadable(f"An id has at most {MAX_NAME_LENGTH} printable characters.")
    return text


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Unreadable("This is no workspace's id.") from None


def _request_id(text: str) -> str:
    if not _REQUEST_ID.fullmatch(text):
        raise Unreadable("A request's id is req_ and 32 hexadecimal digits.")
    return text


def _moment(text: str) -> datetime:
    """A date, or a date and time; in UTC unless it names its zone."""
    try:
        moment, day = parse_datetime(text), parse_date(text)
        if moment is None and day is not None:
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if moment is not None:
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Unreadable("Write a moment as 2026-01-31 or 2026-01-31T09:00, in UTC.")


# By parameter: the filter's field, and how its text is read.
READERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "kind": ("kind", _kind),
    "actor": ("actor_id", _id),
    "target": ("target_id", _id),
    "workspace": ("workspace_id", _uuid),
    "request": ("request_id", _request_id),
    "since": ("since", _moment),
    "until": ("until", _moment),
}
