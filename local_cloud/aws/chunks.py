"""S3's aws-chunked bodies: the framing, the chain of chunk signatures, and trailing checksums.

Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks" and "Trailing
checksums" in AWS's S3 documentation.
"""

import base64
import hashlib
import hmac
import zlib
from collections.abc import Callable

from local_cloud.aws.wire import Fault, RefusedError

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_SIGNED = {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD": False, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": True}
_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    "x-amz-checksum-crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "x-amz-checksum-sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "x-amz-checksum-sha256": lambda data: hashlib.sha256(data).digest(),
}


class ChunkSigner:
    """Checks one chunk after another; each signature covers the one before it."""

    def __init__(self, key: bytes, timestamp: str, scope: str, seed_signature: str) -> None:
        self._key = key
        self._timestamp = timestamp
        self._scope = scope
        self._previous = seed_signature

    def check(self, kind: str, *hashes: str, signature: str) -> None:
        """Raises RefusedError: the chunk is not the one that was signed at this place."""
        to_sign = "\n".join(
            (f"AWS4-HMAC-SHA256-{kind}", self._timestamp, self._scope, self._previous, *hashes)
        )
        expected = hmac.new(self._key, to_sign.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise RefusedError("The signature of a chunk does not match.", fault=Fault.WRONG_SIGNATURE)
        self._previous = expected


def decode(body: bytes, payload_kind: str, signer: ChunkSigner, announced_trailer: str) -> bytes:
    """Return the payload of an aws-chunked body.

    Raises RefusedError: bad framing, a chunk or trailer that does not match its signature or checksum.
    """
    if payload_kind not in _SIGNED and payload_kind != _UNSIGNED_TRAILER:
        raise RefusedError(
            "This kind of payload signature is not supported.", code="NotImplemented", status=501
        )
    signed = payload_kind in _SIGNED
    parts: list[bytes] = []
    rest = body
    while True:
        head, separator, rest = rest.partition(b"\r\n")
        size_text, _, extension = head.decode("ascii", "replace").partition(";")
        try:
            size = int(size_text, 16)
        except ValueError:
            raise _bad_framing() from None
        if not separator or size < 0 or len(rest) < size:
            raise _bad_framing()
        chunk, rest = rest[:size], rest[size:]
        if signed:
            signature = extension.strip().removeprefix("chunk-signature=")
            signer.check("PAYLOAD", _EMPTY_SHA256, hashlib.sha256(chunk).hexdigest(), signature=signature)
        if size == 0:
            break
        if not rest.startswith(b"\r\n"):
            raise _bad_framing()
        rest = rest[2:]
        parts.append(chunk)
    payload = b"".join(parts)
    if payload_kind == _UNSIGNED_TRAILER or _SIGNED[payload_kind]:
        _check_trailer(rest, payload, signer if signed else None, announced_trailer)
    return payload


def _check_trailer(block: bytes, payload: bytes, signer: ChunkSigner | None, announced: str) -> None:
    lines = [line for line in block.decode("ascii", "replace").replace("\r\n", "\n").split("\n") if line]
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    if signer is not None:
        covered = "".join(
            f"{name}:{value}\n" for name, value in fields.items() if name != "x-amz-trailer-signature"
        )
        digest = hashlib.sha256(covered.encode()).hexdigest()
        signer.check("TRAILER", digest, signature=fields.get("x-amz-trailer-signature", ""))
    for name in filter(None, (part.strip().lower() for part in announced.split(","))):
        if name not in fields:
            raise RefusedError(
                "The request body lacks the trailer it announced.", code="MalformedTrailerError"
            )
        checksum = _CHECKSUMS.get(name)
        if checksum is not None and base64.b64encode(checksum(payload)).decode() != fields[name]:
            raise RefusedError("The checksum of the body is not the one in the trailer.", code="BadDigest")


def _bad_framing() -> RefusedError:
    return RefusedError("The aws-chunked body is not well formed.", code="InvalidRequest")
