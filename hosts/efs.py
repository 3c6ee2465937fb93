"""All there is of EFS in EnvForge: access points, one for each workspace.

An access point shows its VM one directory, as one account, whoever asks on the VM. Every call is outside of a transaction.
Source: the Amazon EFS API reference, 2015-02-01.
"""

from functools import cache
from typing import Any
from uuid import UUID

from envforge import aws
from hosts.vendor import Refused, Vanished, ask

ORG_TAG, WORKSPACE_TAG = "envforge:org", "envforge:workspace"


def ensure_access_point(*, file_system: str, org_id: UUID, workspace_id: UUID, uid: int) -> str:
    """The workspace's access point, made where there is none; asking again answers with the same one.

    Its directory is the organization's and the workspace's id, owned by the workspace's account and closed to others.
    """
    token = str(workspace_id)
    try:
        made = ask(
            _client().create_access_point,
            ClientToken=token,
            FileSystemId=file_system,
            PosixUser={"Uid": uid, "Gid": uid},
            RootDirectory={
                "Path": f"/{org_id}/{workspace_id}",
                "CreationInfo": {"OwnerUid": uid, "OwnerGid": uid, "Permissions": "0700"},
            },
            Tags=[
                {"Key": ORG_TAG, "Value": str(org_id)},
                {"Key": WORKSPACE_TAG, "Value": str(workspace_id)},
            ],
        )
    except Refused as refused:
        if refused.code != "AccessPointAlreadyExists":
            raise
        return _find(file_system, token)
    return str(made["AccessPointId"])


def remove_access_point(access_point: str) -> None:
    """Remove it; one that is gone already is fine. The files behind it stay: who removes a workspace deletes them first."""
    try:
        ask(_client().delete_access_point, AccessPointId=access_point)
    except Vanished:
        return


def _find(file_system: str, token: str) -> str:
    following: dict[str, Any] = {}
    while True:
        page = ask(_client().describe_access_points, FileSystemId=file_system, MaxResults=1000, **following)
        for one in page["AccessPoints"]:
            if one.get("ClientToken") == token and one.get("LifeCycleState", "available") != "deleted":
                return str(one["AccessPointId"])
        if not page.get("NextToken"):
            raise Vanished("AccessPointNotFound")
        following = {"NextToken": page["NextToken"]}


@cache
def _client() -> Any:
    return aws.client("efs")
