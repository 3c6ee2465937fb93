"""The only way to AWS KMS for signing checkpoints; takes and returns our types, raises our errors."""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from django.conf import settings

from envforge import aws

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient


@lru_cache(maxsize=1)
def _client() -> "KMSClient":
    client: KMSClient = aws.client("kms")
    return client


def sign(message: bytes) -> tuple[str, bytes]:
    """Sign with the audit key (ECDSA P-256 over SHA-256).

    Returns:
        The key's id (its ARN) and the DER signature.

    Raises:
        Unavailable: KMS does not answer, or refuses.
    """
    digest = hashlib.sha256(message).digest()
    with aws.speaking(f"The audit key {settings.AUDIT_KEY} cannot sign"):
        answer = _client().sign(KeyId=settings.AUDIT_KEY, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")
    return answer["KeyId"], answer["Signature"]


def public_key() -> tuple[str, str]:
    """The audit key's id and its public half as PEM; errors as `sign`."""
    with aws.speaking(f"The audit key {settings.AUDIT_KEY} cannot be read"):
        answer = _client().get_public_key(KeyId=settings.AUDIT_KEY)
    key = load_der_public_key(answer["PublicKey"])
    return answer["KeyId"], key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
