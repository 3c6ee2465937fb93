"""Signed checkpoints: the control plane's word for what a chain's hash was at one sequence number (A1, E1)."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from envforge_protocol.audit.canonical import MAX_INT, canonical

_CHECKPOINT = b"envforge.audit.checkpoint.v1\n"
_FIELDS = frozenset({"chain", "seq", "hash", "at", "key_id", "signature"})

_CHAIN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HASH = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


class BadCheckpoint(ValueError):
    """What was given is not a checkpoint.

    Attributes:
        field: the field at fault, or None when it is no single one.
    """

    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class BadSignature(Exception):
    """A checkpoint is not signed by the key it was checked with."""


class BadKeys(ValueError):
    """A key document cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The hash of a chain at one sequence number, with a signature over all of it.

    `hash` is 32 bytes; `at` is RFC 3339 in UTC with six digits of fraction and `Z`; `signature` is ECDSA on
    P-256 with SHA-256 over `signed_bytes()`, in DER, as AWS KMS answers Sign with ECDSA_SHA_256. To sign,
    build one with an empty signature, sign its `signed_bytes()` and `dataclasses.replace` it.

    Raises:
        BadCheckpoint: a field does not have the form said here.
    """

    chain: str
    seq: int
    hash: bytes
    at: str
    key_id: str
    signature: bytes

    def __post_init__(self) -> None:
        """Refuse what could not be written and read back unchanged."""
        if not is_chain(self.chain):
            raise BadCheckpoint("chain", "is not a lower-case UUID")
        if not is_seq(self.seq):
            raise BadCheckpoint("seq", "is not a sequence number")
        if len(self.hash) != 32:
            raise BadCheckpoint("hash", "is not 32 bytes long")
        if not is_time(self.at):
            raise BadCheckpoint("at", "is not a time such as 2026-01-31T09:00:00.000000Z")
        if (
            type(self.key_id) is not str
            or not self.key_id.isascii()
            or not self.key_id.isprintable()
            or not self.key_id
        ):
            raise BadCheckpoint("key_id", "is not printable ASCII text")

    def signed_bytes(self) -> bytes:
        """What the signature covers: every field but the signature."""
        return _CHECKPOINT + canonical(self._unsigned())

    def to_json(self) -> dict[str, object]:
        """The checkpoint as a JSON object: `hash` in lower-case hex, `signature` in base64."""
        return {**self._unsigned(), "signature": base64.b64encode(self.signature).decode()}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> "Checkpoint":
        """Read what `to_json` wrote. A `"type": "checkpoint"` beside it, as in an export, is accepted.

        Raises:
            BadCheckpoint: a field is missing, surplus or malformed.
        """
        if not isinstance(value, Mapping):
            raise BadCheckpoint(None, "is not a JSON object")
        fields = dict(value)
        if fields.pop("type", "checkpoint") != "checkpoint":
            raise BadCheckpoint("type", "is not 'checkpoint'")
        for name in sorted(_FIELDS - fields.keys()):
            raise BadCheckpoint(name, "is missing")
        for name in sorted(fields.keys() - _FIELDS):
            raise BadCheckpoint(name, "does not belong here")
        chain, seq, at, key_id = fields["chain"], fields["seq"], fields["at"], fields["key_id"]
        if not isinstance(chain, str):
            raise BadCheckpoint("chain", "is not a string")
        if not isinstance(seq, int):
            raise BadCheckpoint("seq", "is not a sequence number")
        if not isinstance(at, str):
            raise BadCheckpoint("at", "is not a string")
        if not isinstance(key_id, str):
            raise BadCheckpoint("key_id", "is not a string")
        hash_value = hash_from_hex(fields["hash"])
        if hash_value is None:
            raise BadCheckpoint("hash", "is not 64 lower-case hexadecimal digits")
        return cls(chain, seq, hash_value, at, key_id, _signature(fields["signature"]))

    def verify(self, public_key: ec.EllipticCurvePublicKey) -> None:
        """Check the signature.

        Raises:
            BadSignature: the key did not sign these fields.
        """
        try:
            public_key.verify(self.signature, self.signed_bytes(), ec.ECDSA(SHA256()))
        except InvalidSignature:
            raise BadSignature(f"the signature of checkpoint {self.seq} is not by this key") from None

    def _unsigned(self) -> dict[str, object]:
        return {
            "at": self.at,
            "chain": self.chain,
            "hash": self.hash.hex(),
            "key_id": self.key_id,
            "seq": self.seq,
        }


@dataclass(frozen=True, slots=True)
class Keys:
    """Public keys to check checkpoints with: by key id, or one key for whatever id a checkpoint names."""

    by_id: Mapping[str, ec.EllipticCurvePublicKey]
    for_any: ec.EllipticCurvePublicKey | None = None

    def get(self, key_id: str) -> ec.EllipticCurvePublicKey | None:
        """The key to check a checkpoint of that key id with, or None when it is not known."""
        return self.for_any or self.by_id.get(key_id)


def load_keys(text: str) -> Keys:
    """Read `{"keys": [{"key_id": ..., "pem": ...}]}` as the control plane publishes it, or one PEM public key.

    Fields beside these are left for later versions and ignored.

    Raises:
        BadKeys: neither of the two, no key in it, a key id twice, or a key that is not ECDSA P-256.
    """
    if not text.lstrip().startswith("{"):
        return Keys({}, _public_key(text))
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadKeys("it is neither a JSON key document nor a PEM public key") from None
    entries = document.get("keys")
    if not isinstance(entries, list) or not entries:
        raise BadKeys('it has no list of keys under "keys"')
    keys: dict[str, ec.EllipticCurvePublicKey] = {}
    for entry in entries:
        key_id, pem = (entry.get("key_id"), entry.get("pem")) if isinstance(entry, dict) else (None, None)
        if not isinstance(key_id, str) or not isinstance(pem, str):
            raise BadKeys('every entry of "keys" needs "key_id" and "pem", both text')
        if key_id in keys:
            raise BadKeys(f"it has the key id {key_id!a} twice")
        keys[key_id] = _public_key(pem)
    return Keys(keys)


def is_chain(value: object) -> bool:
    """Whether a value names a chain: a UUID in lower-case text form."""
    return isinstance(value, str) and _CHAIN.fullmatch(value) is not None


def is_seq(value: object) -> bool:
    """Whether a value is a sequence number, or the 0 that stands before the first."""
    return type(value) is int and 0 <= value <= MAX_INT


def is_time(value: object) -> bool:
    """Whether a value is a time in the one form this format has."""
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def hash_from_hex(value: object) -> bytes | None:
    """The 32 bytes of 64 lower-case hexadecimal digits; None for anything else."""
    return bytes.fromhex(value) if isinstance(value, str) and _HASH.fullmatch(value) else None


def _signature(value: object) -> bytes:
    try:
        if isinstance(value, str):
            signature = base64.b64decode(value, validate=True)
            # Unused bits in the last character would give one signature several spellings.
            if base64.b64encode(signature).decode() == value:
                return signature
    except (binascii.Error, ValueError):
        pass
    raise BadCheckpoint("signature", "is not base64")


def _public_key(pem: str) -> ec.EllipticCurvePublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise BadKeys("it is neither a JSON key document nor a PEM public key") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadKeys("it holds a key that is not ECDSA on P-256")
    return key
