"""What the environment says, read once when the service starts."""

import os
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

SHORTEST_KEY = 16


class BadSettings(Exception):
    """Says which variable to put right; never repeats its value."""


@dataclass(frozen=True)
class Settings:
    """The service's settings; the key does not show when they are printed."""

    port: int
    data: Path
    organization: str
    samples: bool
    signing_key: bytes = field(repr=False)


def read(environ: MutableMapping[str, str] = os.environ) -> Settings:
    """Read the settings, and take the key out of the environment so that no child process inherits it.

    Raises BadSettings.
    """
    key = environ.pop("CALENDAR_SIGNING_KEY", "")
    if len(key) < SHORTEST_KEY:
        raise BadSettings(
            f"CALENDAR_SIGNING_KEY needs at least {SHORTEST_KEY} characters; it signs invitations."
        )
    port = environ.get("PORT", "4000")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise BadSettings("PORT must be a number from 1 to 65535.")
    return Settings(
        port=int(port),
        data=Path(environ.get("DATA_DIR", "data")),
        organization=environ.get("ORGANIZATION_NAME", "Acme"),
        samples=environ.get("SAMPLE_BOOKINGS", "yes").lower() == "yes",
        signing_key=key.encode(),
    )
