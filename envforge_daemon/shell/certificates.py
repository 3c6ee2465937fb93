"""Who may come in: holders of a certificate that the organization's authority made for one workspace (THREATS H7).

A certificate counts if it is a user's, signed by the workspace's authority, valid now and for a day at most, not revoked,
and names exactly one principal: the workspace's id. Slugs and login names may be the same in two projects; ids are not.
`key_id` holds the id of the person it was issued to as its first or only part: `PERSON_ID` or `PERSON_ID anything`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.hazmat.primitives.serialization.ssh import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
    load_ssh_public_key,
)

from envforge_daemon.shell.known import Door

LONGEST_VALID_S = 24 * 3600
# asyncssh enforces it; any other critical option is one that nobody here would keep.
KEPT_OPTIONS = {b"source-address"}


@dataclass(frozen=True)
class Admission:
    """Somebody with a good certificate."""

    door: Door
    serial: int
    key_id: str
    expires_at: datetime

    def is_of(self, person_id: UUID) -> bool:
        """Whether the certificate was issued to this person."""
        return self.key_id.partition(" ")[0].lower() == str(person_id)


def is_authority(line: str) -> bool:
    """Whether a line is one public key that may sign certificates."""
    if "\n" in line.strip() or not line.strip():
        return False
    try:
        load_ssh_public_key(line.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        return False
    return "-cert-" not in line.split(maxsplit=1)[0]


def admission(line: bytes, doors: Iterable[Door], now: datetime) -> Admission | None:
    """Who comes in with this certificate (OpenSSH's one line) by one of these doors; None for nobody."""
    try:
        certificate = load_ssh_public_identity(line)
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(certificate, SSHCertificate) or certificate.type is not SSHCertificateType.USER:
        return None
    if len(certificate.valid_principals) != 1 or set(certificate.critical_options) - KEPT_OPTIONS:
        return None
    at = now.timestamp()
    if not certificate.valid_after <= at < certificate.valid_before:
        return None
    if certificate.valid_before - at > LONGEST_VALID_S:
        return None
    try:
        certificate.verify_cert_signature()
        key_id = certificate.key_id.decode()
    except (InvalidSignature, UnicodeDecodeError):
        return None
    signer = certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    for door in doors:
        if certificate.valid_principals[0] != str(door.workspace.id).encode():
            continue
        if signer.split()[:2] != door.authority.encode().split()[:2] or certificate.serial in door.revoked:
            return None
        expires_at = datetime.fromtimestamp(certificate.valid_before, UTC)
        return Admission(door, certificate.serial, key_id[:200], expires_at)
    return None
