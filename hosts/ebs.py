"""All there is of EBS in EnvForge: volumes for managed data, one for each workspace that has any.

Takes and returns types of ours and raises `hosts.vendor`'s errors. Every call is outside of a transaction.
Source: the Amazon EC2 API reference, 2016-11-15, and "Device names for volumes on Amazon EC2 instances".
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from envforge import aws
from hosts.ec2 import ORG_TAG
from hosts.vendor import Vanished, ask

VOLUME_TAG, WORKSPACE_TAG = "envforge:volume", "envforge:workspace"
# What Amazon recommends for data volumes. A VM has room for no more workspaces than this.
DEVICES = tuple(f"/dev/sd{letter}" for letter in "fghijklmnop")
PAGE = 500


@dataclass(frozen=True, slots=True)
class SeenVolume:
    """A volume as EC2 describes it; ids from its tags are text. `instance_id` is empty where it is attached to none.

    `state`: creating, available, in-use, deleting, deleted, error; `attachment`: attaching, attached, detaching, busy.
    """

    volume_id: str
    state: str
    zone: str
    row_id: str
    org_id: str
    created_at: datetime
    instance_id: str = ""
    attachment: str = ""


def find(row_id: UUID) -> SeenVolume | None:
    """The volume that was made for a row and perhaps not recorded."""
    found = [one for page in _pages(_filter(f"tag:{VOLUME_TAG}", str(row_id))) for one in page]
    return min(found, key=lambda one: (one.created_at, one.volume_id), default=None)


def describe(volume_id: str) -> SeenVolume | None:
    """The volume, or None where EC2 does not know it."""
    try:
        answer = ask(_client().describe_volumes, VolumeIds=[volume_id])
    except Vanished:
        return None
    return _read(answer["Volumes"][0]) if answer["Volumes"] else None


def pages() -> Iterator[list[SeenVolume]]:
    """Every volume for managed data, in pages as EC2 gives them."""
    return _pages(_filter("tag-key", VOLUME_TAG))


def create(*, row_id: UUID, org_id: UUID, workspace_id: UUID, zone: str, size_gib: int) -> SeenVolume:
    """An encrypted volume, or the one that was made when the same was asked before."""
    tags = {
        ORG_TAG: org_id,
        VOLUME_TAG: row_id,
        WORKSPACE_TAG: workspace_id,
        "Name": f"envforge-data-{row_id.hex[-12:]}",
    }
    made = ask(
        _client().create_volume,
        ClientToken=hashlib.sha256(f"{row_id}:{zone}:{size_gib}".encode()).hexdigest(),
        AvailabilityZone=zone,
        Size=size_gib,
        VolumeType="gp3",
        Encrypted=True,
        TagSpecifications=[
            {
                "ResourceType": "volume",
                "Tags": [{"Key": key, "Value": str(value)} for key, value in tags.items()],
            }
        ],
    )
    return _read(made)


def attach(volume_id: str, *, instance_id: str, device: str) -> None:
    """Attach it; it survives the instance. Raises Refused where it is attached already, or in another zone."""
    ask(_client().attach_volume, VolumeId=volume_id, InstanceId=instance_id, Device=device)


def detach(volume_id: str) -> None:
    """Ask for it to be detached, never by force: what is not written yet would be lost."""
    ask(_client().detach_volume, VolumeId=volume_id)


def delete(volume_id: str) -> None:
    """Delete it and all that is on it; one that is gone already is fine."""
    try:
        ask(_client().delete_volume, VolumeId=volume_id)
    except Vanished:
        return


def _pages(filters: dict[str, Any]) -> Iterator[list[SeenVolume]]:
    following: dict[str, Any] = {}
    while True:
        page = ask(_client().describe_volumes, Filters=[filters], MaxResults=PAGE, **following)
        yield [_read(one) for one in page["Volumes"]]
        if not page.get("NextToken"):
            return
        following = {"NextToken": page["NextToken"]}


def _read(volume: dict[str, Any]) -> SeenVolume:
    tags = {tag["Key"]: tag["Value"] for tag in volume.get("Tags", ())}
    attached = volume["Attachments"][0] if volume.get("Attachments") else {}
    return SeenVolume(
        volume["VolumeId"],
        volume["State"],
        volume["AvailabilityZone"],
        tags.get(VOLUME_TAG, ""),
        tags.get(ORG_TAG, ""),
        volume["CreateTime"],
        attached.get("InstanceId", ""),
        attached.get("State", ""),
    )


def _filter(name: str, value: str) -> dict[str, Any]:
    return {"Name": name, "Values": [value]}


@cache
def _client() -> Any:
    return aws.client("ec2")
