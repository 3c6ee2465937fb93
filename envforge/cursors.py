"""Places in lists that are sorted by time, as opaque text in addresses."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BYTES = 24

Place = tuple[datetime, UUID]


def write_cursor(place: Place) -> str:
    """The place as 32 characters that can stand in an address. It says nothing that its reader was not shown."""
    at, row_id = place
    microseconds = (at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(microseconds.to_bytes(8) + row_id.bytes).decode()


def read_cursor(text: str) -> Place:
    """The place that `write_cursor` wrote.

    Raises:
        ValueError: it wrote no such text.
    """
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
        if len(raw) != _BYTES:
            raise ValueError(text)
        return _EPOCH + timedelta(microseconds=int.from_bytes(raw[:8])), UUID(bytes=raw[8:])
    except (binascii.Error, OverflowError) as wrong:
        raise ValueError(text) from wrong
