"""Signing with a key that is an organization's own, in KMS, and never leaves it (THREATS K1).

KMS is asked as a session of the reader role that carries the organization's tag and may use this one key. A key in our account
must carry the tag `envforge-signs-for`; one in the customer's account has a policy that names the organization's tag. So one
organization's session opens no other's key, whatever is written into a form.
"""

import json
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from envforge import aws
from envforge.aws import Refused
from secrets_ref import sts
from secrets_ref.troubles import trouble_of

ALGORITHM = "RSASSA_PKCS1_V1_5_SHA_256"
# What KMS takes unhashed, in bytes.
LARGEST_MESSAGE = 4096
# An alias would be another key tomorrow.
_KEY_ARN = re.compile(
    r"arn:aws(?:-[a-z-]+)?:kms:(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]):[0-9]{12}:key/(?:mrk-[0-9a-f]{32}|[0-9a-f-]{36})"
)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a key, as DER, and whether the key signs as `sign` wants it."""

    der: bytes
    signs: bool


def is_key_arn(text: str) -> bool:
    """Whether this is the ARN of one KMS key."""
    return _KEY_ARN.fullmatch(text) is not None


def sign(org_id: UUID, key_arn: str, message: bytes) -> bytes:
    """The signature of a message of up to 4,096 bytes: RSA, PKCS #1 v1.5, SHA-256. Asked outside of any transaction.

    Raises:
        StoreRefused: STS or KMS refuses or does not answer.
        ValueError: the ARN is no key's.
    """
    kms = _kms(org_id, key_arn)
    try:
        answer = aws.ask(
            kms.sign, KeyId=key_arn, Message=message, MessageType="RAW", SigningAlgorithm=ALGORITHM
        )
    except Refused as refused:
        raise trouble_of(refused) from None
    return bytes(answer["Signature"])


def public_key(org_id: UUID, key_arn: str) -> PublicKey:
    """The key's public half; raises as `sign`."""
    kms = _kms(org_id, key_arn)
    try:
        answer = aws.ask(kms.get_public_key, KeyId=key_arn)
    except Refused as refused:
        raise trouble_of(refused) from None
    return PublicKey(bytes(answer["PublicKey"]), ALGORITHM in answer.get("SigningAlgorithms", ()))


def session_policy(key_arn: str) -> str:
    """A policy that lets its session use exactly this key."""
    statement = {"Effect": "Allow", "Action": ["kms:Sign", "kms:GetPublicKey"], "Resource": key_arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def key_policy(org_id: UUID) -> str:
    """What the policy of a key in another account says, for this organization's sessions to sign with it and no others."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": settings.READER_ROLE_ARN},
        "Action": ["kms:Sign", "kms:GetPublicKey"],
        "Resource": "*",
        "Condition": {"StringEquals": {f"aws:PrincipalTag/{sts.ORG_TAG}": org_id.hex}},
    }
    return json.dumps(statement, indent=2)


def _kms(org_id: UUID, key_arn: str) -> Any:
    match = _KEY_ARN.fullmatch(key_arn)
    if match is None:
        raise ValueError("No KMS key's ARN.")
    credentials = sts.open_reader(org_id, session_policy(key_arn))
    return aws.client("kms", region=match["region"], as_=credentials)
