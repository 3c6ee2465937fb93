"""The parts that all messages share: digests, host names, surfaces, and the forms of opaque values."""

import hashlib
import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field

GATEWAY_HEADER = "EnvForge-Gateway"

# 256 bits as base64url without padding: session values, states, one-time codes, tickets.
OPAQUE = r"^[A-Za-z0-9_-]{43}$"
OPAQUE_BYTES = 32
_HOST = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$"

# SHA-256 in lower-case hexadecimal digits. What is opaque travels and is kept in this form alone, except where it is spent.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# A host name in lower case, without port or final dot.
HostName = Annotated[str, Field(pattern=_HOST, max_length=253)]
ServiceName = Annotated[str, Field(pattern=r"^[a-z0-9](?:-?[a-z0-9]){0,61}$")]
Revision = Annotated[int, Field(ge=0)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")]

_opaque = re.compile(OPAQUE.rstrip("$"))


class Surface(StrEnum):
    """What a session may be allowed of a service (L1)."""

    WEB = "web"
    API = "api"
    ASSETS = "assets"
    WEBSOCKETS = "websockets"


def digest(value: str) -> str:
    """The form in which an opaque value is compared and kept: SHA-256 of its ASCII text."""
    return hashlib.sha256(value.encode("ascii")).hexdigest()


def is_opaque(value: str) -> bool:
    """Whether a text has the form of an opaque value; says nothing about whether it is one that was given out."""
    return _opaque.fullmatch(value) is not None


def is_digest(value: str) -> bool:
    """Whether a text has the form of a digest."""
    return re.fullmatch(r"[0-9a-f]{64}", value) is not None
