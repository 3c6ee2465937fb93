"""The forms of the settings about dev hosts and gateways, as `envforge.environment` reads them; each raises ValueError."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

SHORTEST_CREDENTIAL = 32
GRACE_MS = (250, 1000, 5000)
_HEARTBEATS_MS, _LONGEST_REFUSE_MS, _LONGEST_CUT_MS = (50, 5000), 60_000, 300_000
_NAME = "ENVFORGE_DEV_URL"


def credentials(value: str) -> tuple[str, ...]:
    """One credential, or two while they are being exchanged."""
    given = tuple(part.strip() for part in value.split(","))
    if len(given) > 2 or not all(one.isascii() and len(one) >= SHORTEST_CREDENTIAL for one in given):
        raise ValueError
    return given


def grace(value: str) -> tuple[int, int, int]:
    """How often gateways are told that they are current; after what silence they refuse, and cut; in milliseconds."""
    heartbeat, refuse, cut = (int(part) for part in value.split(","))
    least, most = _HEARTBEATS_MS
    if not least <= heartbeat <= most or not 2 * heartbeat <= refuse <= min(cut, _LONGEST_REFUSE_MS):
        raise ValueError
    if cut > _LONGEST_CUT_MS:
        raise ValueError
    return heartbeat, refuse, cut


def problems(values: Mapping[str, Any]) -> list[str]:
    """What is wrong with the dev domain beside the other hosts: apps of customers must be another site than the console (G4)."""
    dev = urlsplit(values[_NAME]).hostname
    if not dev:
        return []
    if len(dev) > 253 - 64:
        return [f"{_NAME} names a host that is too long: 64 characters are put before it."]
    ours = {urlsplit(values[f"ENVFORGE_{name}_URL"]).hostname for name in ("CONSOLE", "ADMIN", "HOST_API")}
    if any(host and (host == dev or host.endswith(f".{dev}")) for host in ours):
        return [f"{_NAME} must name a domain in which none of our other hosts is."]
    return []
