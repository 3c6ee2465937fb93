"""All there is of EC2 in EnvForge: looking for instances, running, starting, stopping and ending them, and their networks.

Takes and returns types of ours and raises `hosts.vendor`'s errors. Every call is outside of a transaction.
Source: the Amazon EC2 API reference, 2016-11-15, and "Ensuring idempotency in Amazon EC2 API requests".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings

from envforge import aws
from hosts.models import Observed
from hosts.vendor import Refused, Vanished, ask

# Where services and shells of workspaces are reached from the gateways; below Linux' ports for outgoing connections.
INGRESS_PORTS = (20000, 29999)
NFS_PORT = 2049
ORG_TAG, HOST_TAG, GENERATION_TAG, ROLE_TAG = (
    "envforge:org",
    "envforge:host",
    "envforge:generation",
    "envforge:role",
)
IMAGE_TAG = "envforge:image-version"
PAGE = 1000
ROOT_GIB = {"small": 30, "medium": 50, "large": 80}

STATES = {
    "pending": Observed.PENDING,
    "running": Observed.RUNNING,
    "stopping": Observed.STOPPING,
    "stopped": Observed.STOPPED,
    "shutting-down": Observed.ENDING,
    "terminated": Observed.ENDED,
}
_ALIVE = ["pending", "running", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance as EC2 describes it; ids from its tags are text, since tags can say anything."""

    instance_id: str
    state: Observed
    org_id: str
    host_id: str
    generation: int
    role: str
    zone: str
    address: str | None
    image: str
    launched_at: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """What RunInstances is asked for. `token` makes asking again harmless (EC2's ClientToken)."""

    token: str
    org_id: UUID
    host_id: UUID
    generation: int
    role: str
    size: str
    instance_type: str
    subnet: str
    security_group: str
    user_data: str


@dataclass(frozen=True, slots=True)
class Image:
    """The base image: which device its root is on, and which version of the recipe it was built from (W13)."""

    id: str
    root_device: str
    version: str


def find_by_host(host_id: UUID) -> list[Seen]:
    """The living instances that carry a host's tag, of whichever generation, the oldest first."""
    filters = [_filter(f"tag:{HOST_TAG}", str(host_id)), _filter("instance-state-name", *_ALIVE)]
    found = [seen for page in _pages(filters) for seen in map(read, page)]
    return sorted(found, key=lambda one: (one.launched_at, one.instance_id))


def describe(instance_id: str) -> Seen | None:
    """The instance, or None where EC2 does not know it (a minute may pass until it knows a new one)."""
    try:
        answer = ask(_client().describe_instances, InstanceIds=[instance_id])
    except Vanished:
        return None
    instances = [one for reservation in answer["Reservations"] for one in reservation["Instances"]]
    return read(instances[0]) if instances else None


def pages() -> Iterator[list[dict[str, Any]]]:
    """Every instance of ours, dead ones too as long as EC2 remembers them, in pages as EC2 gives them (see `read`)."""
    return _pages([_filter("tag-key", HOST_TAG)])


def read(instance: dict[str, Any]) -> Seen:
    """One instance of a page."""
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}
    generation = tags.get(GENERATION_TAG, "")
    return Seen(
        instance["InstanceId"],
        STATES[instance["State"]["Name"]],
        tags.get(ORG_TAG, ""),
        tags.get(HOST_TAG, ""),
        int(generation) if generation.isdigit() else 0,
        tags.get(ROLE_TAG, ""),
        instance.get("Placement", {}).get("AvailabilityZone", ""),
        instance.get("PrivateIpAddress"),
        tags.get(IMAGE_TAG, ""),
        instance["LaunchTime"],
    )


def impaired() -> set[str]:
    """The ids of running instances whose checks fail, the machine's own or those of what is below it."""
    found: set[str] = set()
    for check in ("instance-status.status", "system-status.status"):
        paginator = _client().get_paginator("describe_instance_status")
        asked = paginator.paginate(Filters=[_filter(check, "impaired")], PaginationConfig={"PageSize": PAGE})
        for page in _each(asked):
            found.update(
                one["InstanceId"]
                for one in page["InstanceStatuses"]
                if "impaired" in {one["InstanceStatus"]["Status"], one["SystemStatus"]["Status"]}
            )
    return found


def run(order: Order) -> Seen:
    """One instance, or the one that was made when the same was asked before.

    It has no rights but its identity, asks for session tokens at its metadata address and answers nobody two hops away, and
    its disk is encrypted.

    Raises:
        InsufficientCapacity, LimitReached, Throttled: nothing was made.
        OutcomeUnknown: it may have been.
        Refused: anything else, such as IdempotentParameterMismatch.
    """
    image = base_image()
    tags = [
        {"Key": ORG_TAG, "Value": str(order.org_id)},
        {"Key": HOST_TAG, "Value": str(order.host_id)},
        {"Key": GENERATION_TAG, "Value": str(order.generation)},
        {"Key": ROLE_TAG, "Value": order.role},
        {"Key": IMAGE_TAG, "Value": image.version},
        {"Key": "Name", "Value": f"envforge-{order.role}-{order.host_id.hex[-12:]}"},
    ]
    disk = {
        "Encrypted": True,
        "DeleteOnTermination": True,
        "VolumeType": "gp3",
        "VolumeSize": ROOT_GIB[order.size],
    }
    answer = ask(
        _client().run_instances,
        ClientToken=order.token,
        ImageId=image.id,
        InstanceType=order.instance_type,
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": order.subnet,
                "Groups": [order.security_group],
                "AssociatePublicIpAddress": False,
            }
        ],
        IamInstanceProfile={"Name": settings.HOST_PROFILE},
        MetadataOptions={
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "disabled",
        },
        BlockDeviceMappings=[{"DeviceName": image.root_device, "Ebs": disk}],
        InstanceInitiatedShutdownBehavior="stop",
        UserData=order.user_data,
        TagSpecifications=[
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume", "network-interface")
        ],
    )
    return read(answer["Instances"][0])


def start(instance_id: str) -> None:
    """Start a stopped instance. Raises Refused (IncorrectInstanceState), Vanished, and what all calls raise."""
    ask(_client().start_instances, InstanceIds=[instance_id])


def stop(instance_id: str, *, force: bool = False) -> None:
    """Stop a running instance; by force where it did not stop when it was asked kindly."""
    ask(_client().stop_instances, InstanceIds=[instance_id], Force=force)


def end(instance_id: str) -> None:
    """End an instance for good, its root disk with it."""
    ask(_client().terminate_instances, InstanceIds=[instance_id])


def base_image() -> Image:
    """The image that new VMs start from, as the settings name it.

    Raises:
        Refused: there is none.
    """
    return _image(settings.HOST_IMAGE)


@cache
def _image(image_id: str) -> Image:
    images = ask(_client().describe_images, ImageIds=[image_id])["Images"]
    if not images:
        raise Refused("InvalidAMIID.NotFound")
    tags = {tag["Key"]: tag["Value"] for tag in images[0].get("Tags", ())}
    return Image(image_id, images[0].get("RootDeviceName") or "/dev/xvda", tags.get(IMAGE_TAG, ""))


@cache
def zone_of_subnet(subnet: str) -> str:
    """The zone a subnet is in, which never changes.

    Raises:
        Refused: there is no such subnet.
    """
    found = ask(_client().describe_subnets, SubnetIds=[subnet])["Subnets"]
    return str(found[0]["AvailabilityZone"])


def security_group(org_id: UUID) -> str:
    """The organization's own security group, made or put right where it must be.

    Only the gateways reach the ports of services and shells; nothing else comes in, from VMs of other organizations
    nor from the organization's own (V4).
    """
    first, last = INGRESS_PORTS
    return _group(
        org_id,
        f"envforge-{org_id}",
        "VMs of one organization of EnvForge",
        _tcp(first, last, settings.GATEWAY_SECURITY_GROUP),
    )


def files_group(org_id: UUID) -> str:
    """The group of the organization's mount targets: its own VMs reach NFS, and nobody reaches anything else (V4)."""
    return _group(
        org_id,
        f"envforge-files-{org_id}",
        "Files of one organization of EnvForge",
        _tcp(NFS_PORT, NFS_PORT, security_group(org_id)),
    )


def _group(org_id: UUID, name: str, description: str, wanted: dict[str, Any]) -> str:
    """The group, with this permission and no other."""
    group = _find_group(name)
    if group is None:
        try:
            ask(
                _client().create_security_group,
                GroupName=name,
                Description=description,
                VpcId=settings.HOST_VPC,
                TagSpecifications=[
                    {"ResourceType": "security-group", "Tags": [{"Key": ORG_TAG, "Value": str(org_id)}]}
                ],
            )
        except Refused as refused:
            # Another worker was quicker.
            if refused.code != "InvalidGroup.Duplicate":
                raise
        group = _find_group(name)
        if group is None:
            raise Vanished("InvalidGroup.NotFound")
    _put_right(group, wanted)
    return str(group["GroupId"])


def _put_right(group: dict[str, Any], wanted: dict[str, Any]) -> None:
    present = [_stripped(one) for one in group["IpPermissions"]]
    strange = [one for one in present if one != wanted]
    if strange:
        ask(_client().revoke_security_group_ingress, GroupId=group["GroupId"], IpPermissions=strange)
    if wanted not in present:
        try:
            ask(_client().authorize_security_group_ingress, GroupId=group["GroupId"], IpPermissions=[wanted])
        except Refused as refused:
            if refused.code != "InvalidPermission.Duplicate":
                raise


def _tcp(first: int, last: int, group: str) -> dict[str, Any]:
    return {
        "IpProtocol": "tcp",
        "FromPort": first,
        "ToPort": last,
        "UserIdGroupPairs": [{"GroupId": group}],
    }


def _stripped(permission: dict[str, Any]) -> dict[str, Any]:
    """A permission without what EC2 adds to it."""
    kept = {key: value for key, value in permission.items() if value not in ([], None)}
    if "UserIdGroupPairs" in kept:
        kept["UserIdGroupPairs"] = [{"GroupId": pair["GroupId"]} for pair in kept["UserIdGroupPairs"]]
    return kept


def _find_group(name: str) -> dict[str, Any] | None:
    filters = [_filter("vpc-id", settings.HOST_VPC), _filter("group-name", name)]
    groups = ask(_client().describe_security_groups, Filters=filters)["SecurityGroups"]
    return dict(groups[0]) if groups else None


def _pages(filters: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    paginator = _client().get_paginator("describe_instances")
    for page in _each(paginator.paginate(Filters=filters, PaginationConfig={"PageSize": PAGE})):
        yield [one for reservation in page["Reservations"] for one in reservation["Instances"]]


def _each(paginator: Any) -> Iterator[dict[str, Any]]:
    following = iter(paginator)
    while True:
        page = ask(_next, pages=following)
        if page is None:
            return
        yield page


def _next(pages: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
    return next(pages, None)


def _filter(name: str, *values: str) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}


@cache
def _client() -> Any:
    return aws.client("ec2")
