"""What stands in a share link: a JWT signed EdDSA (RFC 7519, RFC 8037), in one spelling only.

The header is exactly `alg`, `kid`, `typ`. A signature proves that the control plane issued the link once, and says nothing
about whether it still holds.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import Field, ValidationError

from envforge_protocol.gateway.base import HostName, ServiceName, Surface
from envforge_protocol.host.base import Message

TYPE = "envforge-link"
LONGEST = 2048
_PARTS = 3


class BadLinkToken(ValueError):
    """The text is no link token that holds; `word` is `form`, `key`, `signature`, `audience` or `expired`."""

    def __init__(self, word: str) -> None:
        super().__init__(f"This link does not hold ({word}).")
        self.word = word


class Claims(Message):
    """One link: what it opens, for whom it was made, until when. `aud` is the bare dev domain, `host` the workspace host."""

    aud: HostName
    link: UUID
    rotation: int = Field(ge=0)
    service: ServiceName
    workspace: UUID
    organization: UUID
    surfaces: Annotated[tuple[Surface, ...], Field(min_length=1, max_length=4)]
    host: HostName
    iat: int = Field(ge=0)
    exp: int = Field(ge=0)


class _Header(Message):
    alg: Literal["EdDSA"] = "EdDSA"
    kid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    typ: Literal["envforge-link"] = "envforge-link"


def sign(claims: Claims, *, kid: str, key: Ed25519PrivateKey) -> str:
    """The token of these claims."""
    signed = f"{_encoded(_Header(kid=kid).model_dump_json().encode())}.{_encoded(claims.model_dump_json().encode())}"
    return f"{signed}.{_encoded(key.sign(signed.encode()))}"


def verify(token: str, keys: Mapping[str, Ed25519PublicKey], *, audience: str, now: datetime) -> Claims:
    """The claims of a token that one of the keys signed for this audience and that has not ended.

    Raises:
        BadLinkToken: it is none.
    """
    parts = token.split(".") if len(token) <= LONGEST and token.isascii() else []
    if len(parts) != _PARTS:
        raise BadLinkToken("form")
    try:
        header = _Header.model_validate(_object(_decoded(parts[0])))
        signature = _decoded(parts[2])
        key = keys[header.kid]
        # Before a claim is looked at.
        key.verify(signature, f"{parts[0]}.{parts[1]}".encode())
        claims = Claims.model_validate_json(_decoded(parts[1]))
    except KeyError:
        raise BadLinkToken("key") from None
    except InvalidSignature:
        raise BadLinkToken("signature") from None
    except (ValidationError, ValueError, RecursionError):
        raise BadLinkToken("form") from None
    if claims.aud != audience:
        raise BadLinkToken("audience")
    if claims.exp <= now.timestamp():
        raise BadLinkToken("expired")
    return claims


def public_key(x: str) -> Ed25519PublicKey:
    """The key of a `LinkKey`.

    Raises:
        ValueError: it is none.
    """
    return Ed25519PublicKey.from_public_bytes(_decoded(x))


def public_text(key: Ed25519PublicKey) -> str:
    """The `x` of a `LinkKey`."""
    return _encoded(key.public_bytes_raw())


def expires_at(claims: Claims) -> datetime:
    """When the link ends by itself."""
    return datetime.fromtimestamp(claims.exp, UTC)


def _object(text: bytes) -> dict[str, object]:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a name stands twice")
        return dict(pairs)

    found = json.loads(text, object_pairs_hook=once)
    if not isinstance(found, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - one kind of error for whatever is wrong with it
    return found


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is not base64url") from None
    # Padding, or unused bits in the last character, would give one content several spellings.
    if _encoded(content) != text:
        raise ValueError("it is not base64url as it is written here")
    return content
