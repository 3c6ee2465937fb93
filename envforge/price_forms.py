"""The form of the price table, as `envforge.environment` reads it; raises ValueError or KeyError."""

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

SIZES = ("small", "medium", "large")


@dataclass(frozen=True, slots=True)
class Price:
    """What an awake hour costs by size, from a day (UTC) on."""

    since: date
    hour: dict[str, Decimal]


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices in one currency (ISO 4217), the oldest first; none where there are no rows."""

    currency: str = ""
    rows: tuple[Price, ...] = ()


def price_table(value: str) -> PriceTable:
    if not value:
        return PriceTable()
    currency, *rows = (part.strip() for part in value.split(";"))
    if not re.fullmatch("[A-Z]{3}", currency) or not rows:
        raise ValueError
    prices = tuple(_price(row) for row in rows)
    days = [price.since for price in prices]
    if days != sorted(set(days)):
        raise ValueError
    return PriceTable(currency, prices)


def _price(row: str) -> Price:
    since, *sizes = row.split()
    given = dict(_one(one) for one in sizes)
    if len(given) != len(sizes) or set(given) != set(SIZES):
        raise ValueError
    return Price(date.fromisoformat(since), given)


def _one(text: str) -> tuple[str, Decimal]:
    size, _, amount = text.partition("=")
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", amount, re.ASCII):
        raise ValueError
    return size, Decimal(amount)
