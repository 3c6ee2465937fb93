"""What making an export may take, and who hears how far it is (docs/decisions/0004-exports.md)."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import gettempdir
from typing import BinaryIO

from envforge.errors import Unavailable

LONGEST_S = 300
SPARE_BYTES = 512 * 1024 * 1024
STEP = 1_000


class Abandoned(Exception):
    """Nobody waits for this export any more."""


@dataclass(frozen=True, slots=True)
class Made:
    """A whole export, at its beginning; whoever has it closes the file."""

    file: BinaryIO
    size_bytes: int
    rows: int


# Hears how many of how many rows are passed, every `STEP`; it may raise Abandoned.
Listener = Callable[[int, int], None]


def require_room() -> None:
    """An export must not fill the disk that others need.

    Raises:
        Unavailable: there is too little left.
    """
    if shutil.disk_usage(gettempdir()).free < SPARE_BYTES:
        raise Unavailable("There is no room to make this export at the moment. Try again in a few minutes.")
