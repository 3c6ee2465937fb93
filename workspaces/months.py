"""Calendar months in UTC, which usage is counted in; each is named by its first day."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

YEARS = range(2000, 3000)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """One month, from its first moment up to but not including the next month's."""

    first: date

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        return cls(moment.astimezone(UTC).date().replace(day=1))

    @classmethod
    def named(cls, text: str) -> "Month":
        """The month that `2026-11` names.

        Raises:
            ValueError: it names none.
        """
        if not re.fullmatch(r"\d{4}-\d{2}", text, re.ASCII):
            raise ValueError(text)
        return cls.of_day(date.fromisoformat(f"{text}-01"))

    @classmethod
    def of_day(cls, day: date) -> "Month":
        """The month of a day.

        Raises:
            ValueError: nobody used anything then; beyond the calendar's ends there is no month before or after.
        """
        if day.year not in YEARS:
            raise ValueError(day)
        return cls(day.replace(day=1))

    @property
    def begins(self) -> datetime:
        return datetime(self.first.year, self.first.month, 1, tzinfo=UTC)

    @property
    def ends(self) -> datetime:
        return self.next.begins

    @property
    def next(self) -> "Month":
        return Month((self.first + timedelta(days=31)).replace(day=1))

    @property
    def previous(self) -> "Month":
        return Month((self.first - timedelta(days=1)).replace(day=1))

    def __str__(self) -> str:
        return self.first.strftime("%Y-%m")
