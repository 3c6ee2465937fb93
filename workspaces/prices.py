"""What awake seconds cost: a dated table per size, from the settings (B3)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal

from django.conf import settings

from envforge.price_forms import Price

HOUR_S = 3600
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency, exact; people see it in hundredths."""

    currency: str
    exact: Decimal

    @property
    def rounded(self) -> Decimal:
        return self.exact.quantize(CENT, rounding=ROUND_HALF_EVEN)

    def __str__(self) -> str:
        return f"{self.rounded:,} {self.currency}"


def rows() -> tuple[Price, ...]:
    """The whole table, the oldest first; empty where nothing has a price."""
    table: tuple[Price, ...] = settings.PRICES.rows
    return table


def begins() -> list[datetime]:
    """The moments from which each row of the table counts: midnight UTC of its day."""
    return [datetime.combine(row.since, time.min, UTC) for row in rows()]


def nothing() -> Money:
    return Money(settings.PRICES.currency, Decimal(0))


def cost(seconds: int, size: str, period: int) -> Money:
    """What seconds cost in a period: the first row of the table is period 1; before it, in period 0, they cost nothing."""
    hourly = rows()[period - 1].hour[size] if period else Decimal(0)
    return Money(settings.PRICES.currency, hourly * seconds / HOUR_S)


def period_of(day: date) -> int:
    return sum(row.since <= day for row in rows())


def total(amounts: list[Money]) -> Money:
    return Money(settings.PRICES.currency, sum((one.exact for one in amounts), Decimal(0)))


def within(first: date, last: date) -> list[Price]:
    """The rows that count in a span of days."""
    low, high = period_of(first), period_of(last)
    return list(rows()[max(low - 1, 0) : high])
