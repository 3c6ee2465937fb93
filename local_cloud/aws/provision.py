"""What an operator of EnvForge sets up once in an AWS account, done to the local cloud's.

The audit key and vault, one IAM user per program with no more rights than it needs (THREATS E1: only the sealer
signs), and the role whose sessions read secrets on hosts (`secrets_access`). It goes through the AWS APIs alone, so it is right on AWS too.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from local_cloud.aws import secrets_access
from local_cloud.aws.fleet import HOST_PROFILE, Fleet, control_plane_fleet_policy, provision_fleet
from local_cloud.aws.identities import AccessKey, write_private

AUDIT_KEY_ALIAS = "alias/envforge-audit"
VAULT_BUCKET = "envforge-audit-vault"
VAULT_RETENTION: dict[str, Any] = {"Mode": "GOVERNANCE", "Days": 1}
CONTROL_PLANE = "envforge-control-plane"
SEALER = "envforge-sealer"
KEYS_FILE = "iam-keys.json"


@dataclass(frozen=True)
class Provisioned:
    """What exists afterwards, and the keys of the programs that use it."""

    region: str
    audit_key_arn: str
    vault_bucket: str
    control_plane: AccessKey
    sealer: AccessKey
    fleet: Fleet


def provision(
    endpoint_url: str, root_credentials: AccessKey, region: str, *, state_directory: Path
) -> Provisioned:
    """Make what is missing and correct what differs; running it again changes nothing.

    IAM shows a secret key once, so the keys are kept in `state_directory`, in a file of its owner alone. A user whose
    key is not in that file gets a new one, and its old ones end.

    Raises botocore's ClientError and connection errors: the endpoint refused or is not there.
    """
    session = boto3.Session(
        aws_access_key_id=root_credentials.access_key_id,
        aws_secret_access_key=root_credentials.secret_access_key,
        region_name=region,
    )
    kms: Any = session.client("kms", endpoint_url=endpoint_url)
    s3: Any = session.client("s3", endpoint_url=endpoint_url)
    iam: Any = session.client("iam", endpoint_url=endpoint_url)
    ec2: Any = session.client("ec2", endpoint_url=endpoint_url)
    key_arn = _audit_key(kms)
    _vault(s3, region)
    fleet = provision_fleet(ec2, iam, region)
    host_role = iam.get_role(RoleName=HOST_PROFILE)["Role"]["Arn"]
    account = key_arn.split(":")[4]
    policies = {
        CONTROL_PLANE: control_plane_policy(region, account, key_arn, host_role),
        SEALER: sealer_policy(key_arn),
    }
    keys_file = state_directory / KEYS_FILE
    keys = {name: _user(iam, name, policy, keys_file) for name, policy in policies.items()}
    secrets_access.reader_role(iam, region, account, assumed_by=CONTROL_PLANE)
    return Provisioned(region, key_arn, VAULT_BUCKET, keys[CONTROL_PLANE], keys[SEALER], fleet)


def control_plane_policy(region: str, account: str, key_arn: str, host_role: str) -> dict[str, Any]:
    """All that web and worker may do in AWS."""
    return _policy(
        _allow("ReadAuditPublicKey", ["kms:GetPublicKey"], key_arn),
        *secrets_access.control_plane_statements(region, account),
        *control_plane_fleet_policy(region, account, host_role)["Statement"],
    )


def sealer_policy(key_arn: str) -> dict[str, Any]:
    """All that the sealer may do in AWS (E1)."""
    return _policy(
        _allow("SignCheckpoints", ["kms:Sign", "kms:GetPublicKey", "kms:DescribeKey"], key_arn),
        _allow(
            "StoreCheckpoints",
            ["s3:PutObject", "s3:PutObjectRetention", "s3:GetObject"],
            f"arn:aws:s3:::{VAULT_BUCKET}/*",
        ),
    )


def _audit_key(kms: Any) -> str:
    pages = kms.get_paginator("list_aliases").paginate()
    if not any(alias["AliasName"] == AUDIT_KEY_ALIAS for page in pages for alias in page["Aliases"]):
        made = kms.create_key(
            KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Description="Signs EnvForge's audit checkpoints"
        )
        kms.create_alias(AliasName=AUDIT_KEY_ALIAS, TargetKeyId=made["KeyMetadata"]["KeyId"])
    return str(kms.describe_key(KeyId=AUDIT_KEY_ALIAS)["KeyMetadata"]["Arn"])


def _vault(s3: Any, region: str) -> None:
    """The bucket checkpoints cannot be removed from; the lock must be asked for when the bucket is made."""
    try:
        s3.head_bucket(Bucket=VAULT_BUCKET)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
            raise
        elsewhere = (
            {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        )
        s3.create_bucket(Bucket=VAULT_BUCKET, ObjectLockEnabledForBucket=True, **elsewhere)
    configuration = s3.get_object_lock_configuration(Bucket=VAULT_BUCKET)["ObjectLockConfiguration"]
    found = configuration.get("Rule", {}).get("DefaultRetention", {})
    if {name: found.get(name) for name in VAULT_RETENTION} != VAULT_RETENTION:
        rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": VAULT_RETENTION}}
        s3.put_object_lock_configuration(Bucket=VAULT_BUCKET, ObjectLockConfiguration=rule)


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(sid: str, actions: list[str], resource: str) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}


def _user(iam: Any, name: str, policy: dict[str, Any], keys_file: Path) -> AccessKey:
    try:
        iam.get_user(UserName=name)
    except iam.exceptions.NoSuchEntityException:
        iam.create_user(UserName=name)
    if name not in iam.list_user_policies(UserName=name)["PolicyNames"] or (
        iam.get_user_policy(UserName=name, PolicyName=name)["PolicyDocument"] != policy
    ):
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
    kept = json.loads(keys_file.read_bytes()) if keys_file.exists() else {}
    known = [key["AccessKeyId"] for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]]
    if name in kept and kept[name]["access_key_id"] in known:
        return AccessKey(**kept[name])
    for key_id in known:
        iam.delete_access_key(UserName=name, AccessKeyId=key_id)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    key = AccessKey(made["AccessKeyId"], made["SecretAccessKey"])
    write_private(keys_file, json.dumps({**kept, name: asdict(key)}).encode())
    return key
