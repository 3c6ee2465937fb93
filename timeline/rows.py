"""Rows as a file: JSON Lines, or CSV for a spreadsheet. For exports that are made and handed out as `timeline.deliveries` does."""

import csv
import io
import json
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from enum import StrEnum
from typing import Any, BinaryIO

from django.utils import timezone

from envforge.errors import Invalid
from timeline import limits
from timeline.limits import Listener, require_room

# What spreadsheets take for the beginning of a formula, in either width.
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n", "'")  # noqa: RUF001 - the wide ones are meant

Row = dict[str, Any]


class Form(StrEnum):
    """How rows are written."""

    JSONL = "jsonl"
    CSV = "csv"

    @property
    def content_type(self) -> str:
        return "application/jsonl" if self is Form.JSONL else "text/csv; charset=utf-8"

    def file_name(self, slug: str, of: str) -> str:
        """What the file is called: whose it is, what is in it, and of which day."""
        return f"{slug}-{of}-{timezone.now():%Y-%m-%d}.{self}"


def csv_line(cells: Iterable[str]) -> str:
    """A line with its end, each cell as text and nothing else: people choose names, and spreadsheets run what looks like a formula."""
    line = io.StringIO()
    csv.writer(line).writerow(f"'{cell}" if cell.lstrip(" ").startswith(FORMULA) else cell for cell in cells)
    return line.getvalue()


def write(
    file: BinaryIO,
    rows: Generator[Row],
    columns: Sequence[str],
    form: Form,
    *,
    total: int,
    tell: Listener,
    too_many: Invalid,
) -> int:
    """Write the rows; answers how many there were.

    Raises:
        Invalid: it takes longer than `LONGEST_S`: `too_many`.
        Unavailable: there is no room for them.
        Abandoned: the listener said so.
    """
    count, latest = 0, time.monotonic() + limits.LONGEST_S
    tell(0, total)
    if form is Form.CSV:
        file.write(csv_line(columns).encode())
    # An export that is given up leaves no half-read cursor behind.
    with closing(rows):
        for count, row in enumerate(rows, start=1):
            file.write(_line(row, columns, form))
            if count % limits.STEP == 0:
                tell(count, total)
                if time.monotonic() > latest:
                    raise too_many
                require_room()
    return count


def _line(row: Row, columns: Sequence[str], form: Form) -> bytes:
    if form is Form.CSV:
        return csv_line("" if row[one] is None else str(row[one]) for one in columns).encode()
    return json.dumps({one: row[one] for one in columns}, ensure_ascii=False).encode() + b"\n"
