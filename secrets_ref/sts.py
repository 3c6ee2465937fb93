"""The only way to STS: sessions of the reader role that open a few named parameters, for minutes (K1, K2)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings

from envforge import aws
from envforge.aws import Refused
from envforge.secret_value import SecretValue
from secrets_ref.troubles import trouble_of

if TYPE_CHECKING:
    from types_boto3_sts import STSClient

SESSION_S = 900
# AWS' limit of a session policy, in characters.
LARGEST_POLICY = 2048
ORG_TAG = "org"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Temporary credentials; never stored, and printed they show nothing."""

    access_key_id: str
    secret_access_key: SecretValue
    session_token: SecretValue
    expires_at: datetime


@lru_cache(maxsize=1)
def _client() -> "STSClient":
    client: STSClient = aws.client("sts")
    return client


def session_policy(arns: Sequence[str]) -> str:
    """A policy that lets its session read exactly these parameters, and decrypt them through Parameter Store alone."""
    context = {"StringEquals": {"kms:EncryptionContext:PARAMETER_ARN": list(arns)}}
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": ["ssm:GetParameter", "ssm:GetParameters"], "Resource": list(arns)},
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Condition": context},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def open_session(org_id: UUID, arns: Sequence[str]) -> Credentials:
    """Assume the reader role for one organization and these parameters.

    Raises:
        StoreRefused: STS refuses or does not answer.
        ValueError: more parameters than a session policy has room for.
    """
    return open_reader(org_id, session_policy(arns))


def open_reader(org_id: UUID, policy: str) -> Credentials:
    """Assume the reader role for one organization, as far as a session policy lets it.

    Raises:
        As `open_session`.
    """
    tags = [{"Key": ORG_TAG, "Value": org_id.hex}]
    return _assume(org_id, policy, RoleArn=settings.READER_ROLE_ARN, Tags=tags)


def open_customers(org_id: UUID, role_arn: str, policy: str, *, external_id: str | None) -> Credentials:
    """Assume a role in a customer's account, as far as a session policy lets it.

    Args:
        external_id: what its trust policy must ask for; None tries whether it does.

    Raises:
        As `open_session`.
    """
    named = {} if external_id is None else {"ExternalId": external_id}
    return _assume(org_id, policy, RoleArn=role_arn, **named)


def _assume(org_id: UUID, policy: str, **role: Any) -> Credentials:
    if len(policy) > LARGEST_POLICY:
        raise ValueError(f"A session policy of {len(policy)} characters; AWS takes {LARGEST_POLICY}.")
    try:
        answer = aws.ask(
            _client().assume_role,
            RoleSessionName=f"envforge-{org_id.hex}",
            DurationSeconds=SESSION_S,
            Policy=policy,
            **role,
        )
        held: dict[str, Any] = dict(answer["Credentials"])
        answer.clear()  # type: ignore[attr-defined]  # the stubs' typed dictionaries are whole for ever
        return Credentials(
            held["AccessKeyId"],
            SecretValue(held.pop("SecretAccessKey")),
            SecretValue(held.pop("SessionToken")),
            held["Expiration"],
        )
    except Refused as refused:
        problem = trouble_of(refused)
    raise problem
