"""What is asked of the placement history, read from an address: the same words in the console and in the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.utils.dateparse import parse_date, parse_datetime

from envforge.cursors import Place, read_cursor
from envforge.errors import Invalid
from hosts.history import Form, Period

NAMES = ("since", "until", "vm")
_MOMENT = "Write a moment as 2026-01-31 or 2026-01-31T09:00, in UTC."


@dataclass(frozen=True, slots=True)
class Asked:
    """The period that could be read, the text that was given, and what is wrong, by parameter."""

    period: Period
    given: dict[str, str]
    wrong: dict[str, str]

    def required(self) -> Period:
        """The period, where all of it could be read.

        Raises:
            Invalid: says of each parameter what is wrong.
        """
        if self.wrong:
            raise Invalid("This period cannot be used.", self.wrong)
        return self.period


def read_period(parameters: Mapping[str, str]) -> Asked:
    """Read `since`, `until` and `vm` (a VM's id as exports carry it); empty ones are not given."""
    given = {name: text for name in NAMES if (text := parameters.get(name, "").strip())}
    wrong: dict[str, str] = {}
    moments: dict[str, datetime | None] = {"since": None, "until": None}
    for name in moments:
        if name in given:
            moments[name] = _moment(given[name])
            if moments[name] is None:
                wrong[name] = _MOMENT
    since, until = moments["since"], moments["until"]
    if since and until and since >= until:
        wrong["until"] = "This is not after the beginning."
        until = None
    host_id = None
    try:
        host_id = UUID(given["vm"]) if "vm" in given else None
    except ValueError:
        wrong["vm"] = "This is no VM's id."
    return Asked(Period(since, until, host_id), given, wrong)


def read_place(text: str) -> Place | None:
    """The place a page goes on from; None at the beginning.

    Raises:
        Invalid: no page ended there.
    """
    try:
        return read_cursor(text) if text else None
    except ValueError:
        says = "This is no place in the history; begin without it."
        raise Invalid(says, {"before": says}) from None


def read_form(text: str) -> Form:
    """The form of an export.

    Raises:
        Invalid: there is no such form.
    """
    try:
        return Form(text)
    except ValueError:
        raise Invalid("There is no such form of export.", {"format": "Choose jsonl or csv."}) from None


def _moment(text: str) -> datetime | None:
    try:
        moment, day = parse_datetime(text), parse_date(text)
        if moment is None and day is not None:
            moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if moment is not None:
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return None
