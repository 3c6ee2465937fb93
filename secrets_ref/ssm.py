"""The only way to Parameter Store, and to KMS for secrets; takes and returns our types, raises `StoreRefused`.

What an organization's services read is only written here: no call reads such a value, with decryption or without, since
what comes without it is not promised to be unreadable. Platform secrets are the control plane's own, and are read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from envforge import aws
from envforge.aws import Refused
from envforge.secret_value import SecretValue
from secrets_ref.paths import own_prefix
from secrets_ref.sts import Credentials
from secrets_ref.troubles import StoreRefused, Trouble, trouble_of

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient
    from types_boto3_ssm import SSMClient

# What a SecureString holds at most (the advanced tier; the standard one holds half), in bytes.
LARGEST_VALUE = 8192
PAGE_SIZE = 50
ORG_TAG = "envforge-org"
SECURE = "SecureString"
# Standard for what fits, advanced for what does not, and never back, which the store would refuse.
TIER = "Intelligent-Tiering"


@dataclass(frozen=True, slots=True)
class Described:
    """A parameter without its value; `key` is the id, ARN or alias it was encrypted under."""

    path: str
    version: int
    modified_at: datetime
    kind: str
    key: str


@lru_cache(maxsize=2)
def _ssm(*, once: bool = False) -> "SSMClient":
    client: SSMClient = aws.client("ssm", once=once)
    return client


@lru_cache(maxsize=2)
def _kms(*, once: bool = False) -> "KMSClient":
    client: KMSClient = aws.client("kms", once=once)
    return client


def put(path: str, value: SecretValue, *, key: str, org_id: UUID, exists: bool) -> int:
    """Store a value under the key of this ARN; answers its version.

    Args:
        exists: whether the parameter is there already. One that turns out not to be is made; one that is there
            against expectation is written over: an earlier attempt of the same write looks just so.

    Raises:
        StoreRefused
    """
    if not exists:
        try:
            tags = [{"Key": ORG_TAG, "Value": org_id.hex}]
            return _put(path, value, key=key, Tags=tags, Overwrite=False)
        except StoreRefused as refused:
            if refused.trouble is not Trouble.EXISTS:
                raise
    return _put(path, value, key=key, Overwrite=True)


def _put(path: str, value: SecretValue, *, key: str, **how: Any) -> int:
    try:
        answer = aws.ask(
            _ssm(once=True).put_parameter,
            Name=path,
            Value=value.reveal_text(),
            Type=SECURE,
            KeyId=key,
            Tier=TIER,
            **how,
        )
    except Refused as refused:
        problem = trouble_of(refused)
    else:
        return int(answer["Version"])
    raise problem


def delete(path: str) -> None:
    """Delete a parameter; one that is gone is deleted. Raises StoreRefused."""
    try:
        _ask(_ssm().delete_parameter, Name=path)
    except StoreRefused as refused:
        if refused.trouble is not Trouble.NOT_FOUND:
            raise


def describe(path: str) -> Described | None:
    """One parameter as it is now, without its value; None if there is none. Raises StoreRefused."""
    equals = {"Key": "Name", "Option": "Equals", "Values": [path]}
    return next((one for page in _describe(equals) for one in page), None)


def describe_all(org_id: UUID) -> Iterator[list[Described]]:
    """Every parameter below the organization's prefix without its value, in pages of up to 50. Raises StoreRefused."""
    yield from _describe({"Key": "Path", "Option": "Recursive", "Values": [own_prefix(org_id).rstrip("/")]})


def _describe(only: dict[str, Any]) -> Iterator[list[Described]]:
    """Page by page: one may be empty, or short, with more behind it (DescribeParameters in the SSM API)."""
    following = ""
    while True:
        more = {"NextToken": following} if following else {}
        answer = _ask(_ssm().describe_parameters, ParameterFilters=[only], MaxResults=PAGE_SIZE, **more)
        yield [_described(one) for one in answer["Parameters"]]
        following = answer.get("NextToken", "")
        if not following:
            return


def describe_as(credentials: Credentials, region: str, paths: Sequence[str]) -> list[Described]:
    """Parameters of another account at up to 50 paths without their values, as a session that may list there. Raises StoreRefused."""
    equals = {"Key": "Name", "Option": "Equals", "Values": list(paths)}
    client: SSMClient = aws.client("ssm", region=region, as_=credentials)
    answer = _ask(client.describe_parameters, ParameterFilters=[equals], MaxResults=PAGE_SIZE)
    return [_described(one) for one in answer["Parameters"]]


def read_platform(path: str) -> SecretValue | None:
    """The value of one of the control plane's own parameters; None if there is none. Raises StoreRefused."""
    try:
        answer = aws.ask(_ssm().get_parameter, Name=path, WithDecryption=True)
        return SecretValue(answer["Parameter"].pop("Value"))
    except Refused as refused:
        problem = trouble_of(refused)
    if problem.trouble is Trouble.NOT_FOUND:
        return None
    raise problem


def key_alias(org_id: UUID) -> str:
    """The name by which an organization's key is found, whatever our database has forgotten."""
    return f"alias/envforge-org-{org_id.hex}"


def find_key(org_id: UUID) -> str | None:
    """The ARN of the organization's key; None if it has none. Raises StoreRefused."""
    try:
        answer = _ask(_kms().describe_key, KeyId=key_alias(org_id))
    except StoreRefused as refused:
        if refused.trouble is Trouble.NOT_FOUND:
            return None
        raise
    return str(answer["KeyMetadata"]["Arn"])


def make_key(org_id: UUID) -> str:
    """A new key for the organization, without its alias; answers its ARN. Raises StoreRefused."""
    answer = _ask(
        _kms(once=True).create_key,
        Description="Encrypts the secrets of one organization of EnvForge",
        Tags=[{"TagKey": ORG_TAG, "TagValue": org_id.hex}],
    )
    return str(answer["KeyMetadata"]["Arn"])


def name_key(org_id: UUID, key: str) -> str:
    """Give the key the organization's alias; answers the ARN of whichever key has it afterwards. Raises StoreRefused."""
    try:
        _ask(_kms().create_alias, AliasName=key_alias(org_id), TargetKeyId=key)
    except StoreRefused as refused:
        if refused.trouble is not Trouble.EXISTS:
            raise
    return find_key(org_id) or key


def find_unnamed_key(org_id: UUID) -> str | None:
    """A key that was made for the organization by somebody who died before naming it.

    Costs the pages of all keys and one call for each without an alias, so it is asked only after such a death.

    Raises:
        StoreRefused
    """
    named = {one.get("TargetKeyId") for one in _pages(_kms().list_aliases, "Aliases")}
    for one in _pages(_kms().list_keys, "Keys"):
        if one["KeyId"] in named:
            continue
        try:
            tags = _ask(_kms().list_resource_tags, KeyId=one["KeyId"])["Tags"]
        except StoreRefused as refused:
            if refused.trouble is Trouble.DENIED:
                continue  # somebody else's key
            raise
        if {"TagKey": ORG_TAG, "TagValue": org_id.hex} in tags:
            return str(one["KeyArn"])
    return None


def _pages(operation: Any, held: str) -> Iterator[dict[str, Any]]:
    marker = ""
    while True:
        answer = _ask(operation, **({"Marker": marker} if marker else {}))
        yield from answer[held]
        marker = answer.get("NextMarker", "")
        if not marker:
            return


def _described(one: Any) -> Described:
    return Described(
        one["Name"], int(one["Version"]), one["LastModifiedDate"], one["Type"], one.get("KeyId", "")
    )


def _ask(operation: Any, **parameters: Any) -> Any:
    """A call that carries no value."""
    try:
        return aws.ask(operation, **parameters)
    except Refused as refused:
        raise trouble_of(refused) from None
