"""Public keys that people bring, and the certificates they get for them (THREATS H7, OpenSSH's PROTOCOL.certkeys)."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificateBuilder, SSHCertificateType

from envforge.errors import Invalid

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

KINDS = frozenset(
    {"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}
)
LONGEST_KEY = 8192
SMALLEST_RSA = 3072
LONGEST_LABEL = 80
USABLE = f"Use an ed25519 key, an ecdsa key, or an rsa key of at least {SMALLEST_RSA} bits."


def read_public_key(line: str) -> PublicKey:
    """The key of one OpenSSH line, as it stands in a `.pub` file.

    Raises:
        Invalid: it is none, a private one, or of a kind that is not let in; in words.
    """
    line = line.strip()
    if "PRIVATE KEY" in line:
        raise _wrong(
            "This is a private key. Send the public one, from the file that ends with .pub; keep this one to yourself."
        )
    if not line or len(line) > LONGEST_KEY or "\n" in line or not line.isprintable():
        raise _wrong("This is no public key: send the one line of a .pub file.")
    kind, *rest = line.split()
    if rest and kind not in KINDS and ("ssh" in kind or kind.startswith("ecdsa-")):
        raise _wrong(f"Keys of this kind are not let in. {USABLE}")
    try:
        key = load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise _wrong("This is no public key: send the one line of a .pub file.") from None
    if isinstance(key, RSAPublicKey) and key.key_size < SMALLEST_RSA:
        raise _wrong(f"This rsa key has {key.key_size} bits, which is too few. {USABLE}")
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey):
        raise _wrong(f"Keys of this kind are not let in. {USABLE}")
    return key


def certificate_for(
    key: PublicKey,
    *,
    serial: int,
    key_id: str,
    workspace_id: UUID,
    issued_at: datetime,
    expires_at: datetime,
    forwarding: bool,
) -> SSHCertificateBuilder:
    """A user's certificate for one workspace's shell: a terminal, forwarding if asked for, and never the agent's (H7)."""
    builder = (
        SSHCertificateBuilder()
        .public_key(key)
        .serial(serial)
        .type(SSHCertificateType.USER)
        .key_id(key_id.encode())
        .valid_principals([str(workspace_id).encode()])
        .valid_after(int(issued_at.timestamp()))
        .valid_before(int(expires_at.timestamp()))
    )
    # Extensions stand in the order of their names.
    for name in _extensions(forwarding=forwarding):
        builder = builder.add_extension(name, b"")
    return builder


def key_id_of(holder_id: UUID, label: str) -> str:
    """What stands in the VM's own log: the id by which connections are ended, and a name for people."""
    plain = "".join(one if one.isascii() and one.isprintable() else "?" for one in label)
    return f"{holder_id} {plain[:LONGEST_LABEL]}"


def _extensions(*, forwarding: bool) -> Iterable[bytes]:
    return (b"permit-port-forwarding", b"permit-pty") if forwarding else (b"permit-pty",)


def _wrong(words: str) -> Invalid:
    return Invalid("This key cannot be used.", {"public_key": words})
