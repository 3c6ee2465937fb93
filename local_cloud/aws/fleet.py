"""What VMs need in an AWS account, set up once: network, base image, instance profile, and the control plane's rights over them.

As in `provision`: through the AWS APIs alone, and running it again changes nothing. The policies are those of
`deploy/aws/policies/`, which the CloudFormation template uses too.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "envforge"
HOST_PROFILE = "envforge-host"
NETWORK = "10.20.0.0/16"
# Hosts in three zones, gateways in the first block.
SUBNETS = ("10.20.16.0/20", "10.20.32.0/20", "10.20.48.0/20")
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
POLICIES = DEPLOY / "aws" / "policies"
IMAGE_VERSION_FILE = DEPLOY / "image" / "VERSION"


@dataclass(frozen=True)
class Fleet:
    """What the product's settings about VMs are."""

    image: str
    vpc: str
    subnets: tuple[str, ...]
    gateway_security_group: str
    host_role_id: str
    account: str


def provision_fleet(ec2: Any, iam: Any, region: str) -> Fleet:
    """Make what is missing. Raises botocore's errors."""
    vpc = _vpc(ec2)
    role = _host_role(iam)
    account = str(role["Arn"]).split(":")[4]
    return Fleet(
        _image(ec2), vpc, _subnets(ec2, vpc, region), _gateways(ec2, vpc), str(role["RoleId"]), account
    )


def control_plane_fleet_policy(region: str, account: str, role_arn: str) -> dict[str, Any]:
    """The control plane's rights over VMs, as `deploy/aws/policies/control-plane-fleet.json` says."""
    return read_policy(
        "control-plane-fleet", Region=region, Account=account, Partition="aws", HostRoleArn=role_arn
    )


def read_policy(name: str, **values: str) -> dict[str, Any]:
    """A policy document with its placeholders, such as `${Region}`, filled in."""
    text = (POLICIES / f"{name}.json").read_text()
    for key, value in values.items():
        text = text.replace(f"${{{key}}}", value)
    document: dict[str, Any] = json.loads(text)
    return document


def _tagged(kind: str, name: str) -> dict[str, Any]:
    return {"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}


def _named(name: str) -> list[dict[str, Any]]:
    return [{"Name": "tag:Name", "Values": [name]}]


def _vpc(ec2: Any) -> str:
    found = ec2.describe_vpcs(Filters=_named(NAME))["Vpcs"]
    if not found:
        found = [ec2.create_vpc(CidrBlock=NETWORK, TagSpecifications=[_tagged("vpc", NAME)])["Vpc"]]
    return str(found[0]["VpcId"])


def _subnets(ec2: Any, vpc: str, region: str) -> tuple[str, ...]:
    made = []
    for zone, block in zip("abc", SUBNETS, strict=True):
        name = f"{NAME}-hosts-{zone}"
        found = ec2.describe_subnets(Filters=_named(name))["Subnets"]
        if not found:
            answer = ec2.create_subnet(
                VpcId=vpc,
                CidrBlock=block,
                AvailabilityZone=region + zone,
                TagSpecifications=[_tagged("subnet", name)],
            )
            found = [answer["Subnet"]]
        made.append(str(found[0]["SubnetId"]))
    return tuple(made)


def _gateways(ec2: Any, vpc: str) -> str:
    name = f"{NAME}-gateways"
    found = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])["SecurityGroups"]
    if found:
        return str(found[0]["GroupId"])
    made = ec2.create_security_group(
        GroupName=name,
        Description="Gateways of EnvForge",
        VpcId=vpc,
        TagSpecifications=[_tagged("security-group", name)],
    )
    return str(made["GroupId"])


def _image(ec2: Any) -> str:
    """The base image of this version of the recipe; here a name for it, since what boots is the simulator's daemon."""
    version = IMAGE_VERSION_FILE.read_text().strip()
    name = f"envforge-base-{version}"
    found = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": [name]}])["Images"]
    if found:
        return str(found[0]["ImageId"])
    image = ec2.register_image(
        Name=name, Architecture="x86_64", RootDeviceName="/dev/xvda", VirtualizationType="hvm"
    )["ImageId"]
    ec2.create_tags(Resources=[image], Tags=[{"Key": "envforge:image-version", "Value": version}])
    return str(image)


def _host_role(iam: Any) -> dict[str, Any]:
    """The role of VMs: only EC2 takes it on, and it may do nothing; it is for saying which VM one is (H4, S5)."""
    trust = read_policy("host-trust")
    try:
        iam.get_role(RoleName=HOST_PROFILE)
    except iam.exceptions.NoSuchEntityException:
        iam.create_role(RoleName=HOST_PROFILE, AssumeRolePolicyDocument=json.dumps(trust))
    try:
        profile = iam.get_instance_profile(InstanceProfileName=HOST_PROFILE)["InstanceProfile"]
    except iam.exceptions.NoSuchEntityException:
        profile = iam.create_instance_profile(InstanceProfileName=HOST_PROFILE)["InstanceProfile"]
    if not profile["Roles"]:
        iam.add_role_to_instance_profile(InstanceProfileName=HOST_PROFILE, RoleName=HOST_PROFILE)
    found: dict[str, Any] = iam.get_role(RoleName=HOST_PROFILE)["Role"]
    return found
