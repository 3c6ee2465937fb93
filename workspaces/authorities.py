"""An organization's SSH certificate authority: made once, its private key a platform secret that only signing reads (S5, H7).

Each attempt keeps its private key under a name of its own and then claims the organization's one row. So whoever comes
second finds the other's row, drops what it kept, and no public key ever stands beside another's private one. Whoever
dies in between leaves a key that belongs to no authority and signs nothing.
"""

from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificate, SSHCertificateBuilder
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.utils import timezone

from envforge import tenancy
from envforge.errors import TenancyError, Unavailable
from envforge.ids import uuid7
from envforge.secret_value import SecretValue
from secrets_ref.platform_secrets import drop_platform_secret, keep_platform_secret, read_platform_secret
from workspaces.models import CertificateAuthority

KEY_GONE = "The key that signs certificates for this organization cannot be found. EnvForge's operators must look at it."


def public_key(org_id: UUID) -> str:
    """The authority's public key as one OpenSSH line; made where there is none yet.

    Where there is one this only reads, inside a transaction too.

    Raises:
        TenancyError: there is none yet, and a transaction is open: making one asks the secret store.
        EnvForgeError: the secret store refuses or does not answer.
    """
    return _ensured(org_id).public_key


def sign(org_id: UUID, certificate: SSHCertificateBuilder) -> SSHCertificate:
    """Sign a certificate with the organization's key. Call it outside of any transaction.

    Raises:
        TenancyError: a transaction is open.
        EnvForgeError: the secret store refuses, does not answer, or has lost the key.
    """
    if connection.in_atomic_block:
        raise TenancyError("Signing asks the secret store, which no transaction waits for.")
    authority = _ensured(org_id)
    kept = read_platform_secret(org_id=org_id, name=secret_name(authority.id))
    if kept is None:
        raise Unavailable(KEY_GONE)
    key = load_ssh_private_key(kept.reveal_text().encode(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise Unavailable(KEY_GONE)
    return certificate.sign(key)


def secret_name(authority_id: UUID) -> str:
    """The platform secret that holds this authority's private key."""
    return f"ssh-authority.{authority_id.hex}"


def _ensured(org_id: UUID) -> CertificateAuthority:
    return _present(org_id) or _make(org_id)


def _present(org_id: UUID) -> CertificateAuthority | None:
    with tenancy.enter(org_id):
        return CertificateAuthority.objects.filter(retired_at=None).first()


def _make(org_id: UUID) -> CertificateAuthority:
    if connection.in_atomic_block:
        raise TenancyError("Making an authority asks the secret store, which no transaction waits for.")
    authority_id = uuid7()
    key = Ed25519PrivateKey.generate()
    private = SecretValue(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    keep_platform_secret(org_id=org_id, name=secret_name(authority_id), value=private)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    with tenancy.enter(org_id):
        try:
            with transaction.atomic():
                return CertificateAuthority.objects.create(
                    id=authority_id, public_key=public, created_at=timezone.now()
                )
        except IntegrityError:
            first = CertificateAuthority.objects.filter(retired_at=None).first()
    if first is None:
        raise Unavailable("Somebody else is making this organization's authority. Try again.")
    drop_platform_secret(org_id=org_id, name=secret_name(authority_id))
    return first
