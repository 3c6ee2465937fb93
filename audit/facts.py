"""The types a fact in an event can have. A fact is a scalar with a narrow form, so that no value, token, cookie, header
or free text from a log fits into one (A2)."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from envforge_protocol.credentials import credential_in

MAX_INTEGER = 2**53 - 1  # what every JSON reader keeps exact (RFC 7493)
MAX_NAME_LENGTH = 200

FactValue = str | int | bool | list[str] | None


class FactRefused(ValueError):
    """A fact that its kind does not declare, or whose value has another form."""


@dataclass(frozen=True, slots=True)
class Fact(ABC):
    """One declared fact; `optional` ones may be left out."""

    optional: bool = False

    @abstractmethod
    def read(self, value: Any) -> FactValue:
        """The value as it is stored; ValueError if it does not fit. The message never repeats the value."""

    def or_none(self) -> Self:
        return replace(self, optional=True)


@dataclass(frozen=True, slots=True)
class Name(Fact):
    """What people call something: one line of at most 200 printable characters, no credential."""

    def read(self, value: Any) -> str:
        return name_text(value)


def name_text(value: Any) -> str:
    """Check text that names something (see `Name`)."""
    if not isinstance(value, str) or not value or len(value) > MAX_NAME_LENGTH or not value.isprintable():
        raise ValueError(f"takes one line of 1 to {MAX_NAME_LENGTH} printable characters")
    found = credential_in(value)
    if found:
        raise ValueError(f"looks like {found}")
    return value


@dataclass(frozen=True, slots=True)
class Pattern(Fact):
    """Text of one regular form."""

    form: str = ""

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(self.form, value, re.ASCII):
            raise ValueError(f"takes text of the form {self.form}")
        return value


@dataclass(frozen=True, slots=True)
class Choice(Fact):
    """One of a few words."""

    words: tuple[str, ...] = ()

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(f"takes one of {', '.join(self.words)}")
        return str(value)


@dataclass(frozen=True, slots=True)
class Choices(Fact):
    """Some of a few words, kept sorted."""

    words: tuple[str, ...] = ()

    def read(self, value: Any) -> list[str]:
        if isinstance(value, str) or not all(word in self.words for word in value):
            raise ValueError(f"takes some of {', '.join(self.words)}")
        return sorted({str(word) for word in value})


@dataclass(frozen=True, slots=True)
class Integer(Fact):
    """A count, a size, a number of seconds."""

    def read(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INTEGER:
            raise ValueError("takes a whole number from 0 to 2^53-1")
        return value


@dataclass(frozen=True, slots=True)
class Flag(Fact):
    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError("takes true or false")  # noqa: TRY004 - a refused value, whatever its type
        return value


@dataclass(frozen=True, slots=True)
class Id(Fact):
    def read(self, value: Any) -> str:
        return str(value if isinstance(value, UUID) else UUID(value))


@dataclass(frozen=True, slots=True)
class Time(Fact):
    def read(self, value: Any) -> str:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise ValueError("takes a time with its zone")
        return rfc3339(value)


def rfc3339(moment: datetime) -> str:
    """The moment in UTC with microseconds: `2026-01-31T09:00:00.000000Z` (RFC 3339)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


NAME = Name()
SLUG = Pattern(form=r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
DIGEST = Pattern(form=r"[0-9a-f]{8,64}")
VERSION = Pattern(form=r"[0-9A-Za-z][0-9A-Za-z._+-]{0,63}")
WORD = Pattern(form=r"[a-z][a-z0-9_.:-]{0,99}")
COUNT = Integer()
SECONDS = Integer()
FLAG = Flag()
ID = Id()
TIME = Time()
