"""The forms of the settings about VMs, as `envforge.environment` reads them; each raises ValueError or KeyError."""

from dataclasses import dataclass
from ipaddress import ip_network

# 2 vCPU with 4 GiB, 4 with 16, 8 with 32; each from three makers' processors, since one may be sold out.
TYPES = {
    "small": ("t3.medium", "t3a.medium", "c6a.large"),
    "medium": ("m6i.xlarge", "m6a.xlarge", "m5.xlarge"),
    "large": ("m6i.2xlarge", "m6a.2xlarge", "m5.2xlarge"),
}


@dataclass(frozen=True, slots=True)
class Files:
    """Where workspaces' files lie: `efs` and the key it is encrypted with, if any, or `directory` and a path that is on every VM."""

    kind: str
    place: str


def files(value: str) -> Files:
    kind, colon, place = value.partition(":")
    if not {
        "efs": not colon or place.startswith(("alias/", "arn:")),
        "directory": place.startswith("/"),
    }[kind]:
        raise ValueError
    return Files(kind, place.rstrip("/"))


def names(value: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in value.split(",") if part.strip())
    if not found:
        raise ValueError
    return found


def networks(value: str) -> tuple[str, ...]:
    return tuple(str(ip_network(part)) for part in names(value))


def types_by_size(value: str) -> dict[str, tuple[str, ...]]:
    types = {
        size.strip(): names(listed) for size, _, listed in (row.partition("=") for row in value.split(";"))
    }
    if set(types) != {"small", "medium", "large"}:
        raise ValueError
    return types
