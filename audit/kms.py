"""The only way to AWS KMS for signing checkpoints; takes and returns our types, raises our errors."""

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


def signing_key() -> str:
    """The ARN of the key that the audit key's name (an alias, perhaps) stands for now.

    Raises:
        Unavailable: KMS does not answer, or refuses.
    """
    with aws.speaking(f"The audit key {settings.AUDIT_KEY} cannot be read"):
        return _client().describe_key(KeyId=settings.AUDIT_KEY)["KeyMetadata"]["Arn"]


def sign(key: str, message: bytes) -> bytes:
    """Sign with the key of this ARN (ECDSA P-256 over SHA-256; at most 4,096 bytes); answers the DER signature. Errors as `signing_key`."""
    with aws.speaking(f"The audit key {settings.AUDIT_KEY} cannot sign"):
        return _client().sign(
            KeyId=key, Message=message, MessageType="RAW", SigningAlgorithm="ECDSA_SHA_256"
        )["Signature"]


def public_key(key: str) -> str:
    """The public half of the key of this ARN as PEM; errors as `signing_key`."""
    with aws.speaking(f"The audit key {settings.AUDIT_KEY} cannot be read"):
        der = _client().get_public_key(KeyId=key)["PublicKey"]
    return load_der_public_key(der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
