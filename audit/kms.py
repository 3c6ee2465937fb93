"""The only way to AWS KMS for signing checkpoints; takes and returns our types, raises our errors."""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from django.conf import settings

from envforge.errors import Unavailable

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

ALGORITHM = "ECDSA_SHA_256"


@lru_cache(maxsize=1)
def _client() -> "KMSClient":
    config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})
    return boto3.client("kms", region_name=settings.AWS_REGION, endpoint_url=settings.AWS_ENDPOINT_URL, config=config)


def sign(message: bytes) -> tuple[str, bytes]:
    """Sign with the audit key (ECDSA P-256 over SHA-256).

    Returns:
        The key's id (its ARN) and the DER signature.

    Raises:
        Unavailable: KMS does not answer, or refuses.
    """
    try:
        answer = _client().sign(
            KeyId=settings.AUDIT_KEY, Message=hashlib.sha256(message).digest(), MessageType="DIGEST", SigningAlgorithm=ALGORITHM
        )
    except (ClientError, BotoCoreError) as error:
        raise Unavailable(f"The audit key {settings.AUDIT_KEY} cannot sign: {_reason(error)}") from None
    return answer["KeyId"], answer["Signature"]


def public_key() -> tuple[str, str]:
    """The audit key's id and its public half as PEM; errors as `sign`."""
    try:
        answer = _client().get_public_key(KeyId=settings.AUDIT_KEY)
    except (ClientError, BotoCoreError) as error:
        raise Unavailable(f"The audit key {settings.AUDIT_KEY} cannot be read: {_reason(error)}") from None
    key = load_der_public_key(answer["PublicKey"])
    return answer["KeyId"], key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _reason(error: ClientError | BotoCoreError) -> str:
    return str(error.response["Error"].get("Code", "refused")) if isinstance(error, ClientError) else type(error).__name__
