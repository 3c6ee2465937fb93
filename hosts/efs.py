"""All there is of EFS in EnvForge: one file system for each organization, and its mount targets.

EFS takes a VM's word for whose account it asks with, so the network is the wall: a mount target admits the organization's own
VMs and nobody else (`hosts.ec2.files_group`). Every call is outside of a transaction.
Source: the Amazon EFS API reference, 2015-02-01.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from envforge import aws
from hosts import ec2
from hosts.vendor import Refused, Vanished, ask

ORG_TAG, FILES_TAG = "envforge:org", "envforge:files"
AVAILABLE, FAILED = "available", "error"
# Whoever reaches a mount target may use the file system as any account, root included, and by TLS alone.
POLICY = json.dumps({
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "ThroughItsMountTargets",
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": [
                "elasticfilesystem:ClientMount",
                "elasticfilesystem:ClientWrite",
                "elasticfilesystem:ClientRootAccess",
            ],
            "Resource": "*",
            "Condition": {"Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"}},
        },
        {
            "Sid": "NeverInClear",
            "Effect": "Deny",
            "Principal": {"AWS": "*"},
            "Action": "*",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
    ],
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system as EFS describes it; one that is not available yet can be given nothing."""

    id: str
    available: bool


def ensure_file_system(*, org_id: UUID, key: str) -> FileSystem:
    """The organization's file system, made where there is none; asking again answers with the same one.

    It is encrypted, and as soon as it is available nobody can use it in clear.

    Args:
        key: the key's id or alias; empty for the account's own key of EFS.

    Raises:
        Refused: there is one by this token, and it is not encrypted or has failed.
    """
    token = f"envforge-{org_id}"
    found = _find(token)
    if found is None:
        try:
            ask(
                _client().create_file_system,
                CreationToken=token,
                Encrypted=True,
                **({"KmsKeyId": key} if key else {}),
                ThroughputMode="elastic",
                Tags=[
                    {"Key": ORG_TAG, "Value": str(org_id)},
                    {"Key": FILES_TAG, "Value": "organization"},
                    {"Key": "Name", "Value": f"envforge-{org_id}"},
                ],
            )
        except Refused as refused:
            # Another worker was quicker.
            if refused.code != "FileSystemAlreadyExists":
                raise
        found = _find(token)
        if found is None:
            raise Vanished("FileSystemNotFound")
    if not found.get("Encrypted"):
        raise Refused("FileSystemNotEncrypted")
    if found["LifeCycleState"] == FAILED:
        raise Refused("FileSystemFailed")
    made = FileSystem(str(found["FileSystemId"]), found["LifeCycleState"] == AVAILABLE)
    if made.available:
        ask(_client().put_file_system_policy, FileSystemId=made.id, Policy=POLICY)
    return made


def ensure_mount_targets(*, file_system: str, subnets: Sequence[str], group: str) -> bool:
    """A mount target in each zone of these subnets, behind the group; answers whether all are available.

    A new one takes about two minutes.

    Raises:
        Refused: one of them has failed.
    """
    standing = ask(_client().describe_mount_targets, FileSystemId=file_system, MaxItems=100)["MountTargets"]
    states = {str(one["AvailabilityZoneName"]): str(one["LifeCycleState"]) for one in standing}
    for subnet in subnets:
        zone = ec2.zone_of_subnet(subnet)
        if zone in states:
            continue
        try:
            made = ask(
                _client().create_mount_target,
                FileSystemId=file_system,
                SubnetId=subnet,
                SecurityGroups=[group],
            )
        except Refused as refused:
            if refused.code != "MountTargetConflict":
                raise
            states[zone] = ""
        else:
            states[zone] = str(made["LifeCycleState"])
    if FAILED in states.values():
        raise Refused("MountTargetFailed")
    return all(state == AVAILABLE for state in states.values())


def _find(token: str) -> dict[str, Any] | None:
    found = ask(_client().describe_file_systems, CreationToken=token)["FileSystems"]
    return dict(found[0]) if found else None


@cache
def _client() -> Any:
    return aws.client("efs")
