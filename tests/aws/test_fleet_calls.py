"""What the product's fleet asks of EC2 and EFS: filters, pages and rules as on AWS, quick with many instances."""

import json
import time
from typing import Any

import pytest

from local_cloud.aws.control_client import ControlClient
from tests.aws.conftest import ACCOUNT, REGION, Server, allow, new_user, refusal

IMAGE = "ami-12345678"


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["InstanceId"] for group in answer["Reservations"] for one in group["Instances"]]


def tagged(**tags: str) -> list[dict[str, Any]]:
    return [
        {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
    ]


def test_filters(server: Server) -> None:
    ec2 = server.client("ec2")
    launch = {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1}
    one, two, three = (
        ec2.run_instances(**launch, TagSpecifications=tagged(org=org, host=host))["Instances"][0][
            "InstanceId"
        ]
        for org, host in (("a", "h-1"), ("a", "h-2"), ("b*", "h-3"))
    )
    ec2.stop_instances(InstanceIds=[two])

    def found(**filters: list[str]) -> set[str]:
        asked = [
            {"Name": name.replace("__", ":").replace("_", "-"), "Values": values}
            for name, values in filters.items()
        ]
        return set(ids(ec2.describe_instances(Filters=asked)))

    assert found(tag__org=["a"]) == {one, two}
    assert found(tag__org=["a", "b*"]) == {one, two, three}
    assert found(tag__host=["h-?"]) == {one, two, three}
    assert found(tag__org=["a"], instance_state_name=["stopped", "stopping"]) == {two}
    assert found(instance_id=[three]) == {three}
    assert found(tag_key=["host"]) >= {one, two, three}
    assert found(tag__org=["nobody"]) == set()
    assert refusal(found, colour=["red"]) == "InvalidParameterValue"


def test_a_large_fleet_is_read_in_pages_quickly(own_server: Server) -> None:
    ec2 = own_server.client("ec2", read_timeout=300)
    zones = [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]][:3]
    for number in range(3):
        ec2.run_instances(
            ImageId=IMAGE,
            MinCount=700,
            MaxCount=700,
            SubnetId=zones[number % len(zones)],
            TagSpecifications=tagged(org=f"o-{number}", many="yes"),
        )
    began = time.monotonic()
    asked = [{"Name": "tag:many", "Values": ["yes"]}]
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=asked, PaginationConfig={"PageSize": 1000}
    )
    sizes, seen = [], set()
    for page in pages:
        sizes.append(len(ids(page)))
        seen |= set(ids(page))
    all_s = time.monotonic() - began
    assert len(ids(ec2.describe_instances(Filters=[{"Name": "tag:org", "Values": ["o-2"]}]))) == 700
    assert sizes == [1000, 1000, 100]
    assert len(seen) == 2100
    # A guard against reading that grows with the square of the fleet; not a figure.
    assert all_s < 20


def test_pages_are_not_disturbed_by_what_ends_meanwhile(server: Server) -> None:
    ec2 = server.client("ec2")
    made = ec2.run_instances(ImageId=IMAGE, MinCount=12, MaxCount=12, TagSpecifications=tagged(walk="1"))[
        "Instances"
    ]
    asked = {"Filters": [{"Name": "tag:walk", "Values": ["1"]}], "MaxResults": 5}
    first = ec2.describe_instances(**asked)
    ControlClient(server.url, server.root, REGION).act("vanish", ids(first)[-1])
    second = ec2.describe_instances(**asked, NextToken=first["NextToken"])
    third = ec2.describe_instances(**asked, NextToken=second["NextToken"])
    assert "NextToken" not in third
    assert sorted(ids(first) + ids(second) + ids(third)) == sorted(one["InstanceId"] for one in made)
    assert refusal(ec2.describe_instances, MaxResults=3) == "InvalidParameterValue"
    assert refusal(ec2.describe_instances, MaxResults=5, NextToken="x") == "InvalidNextToken"


def test_an_instance_is_described_as_it_was_asked_for(server: Server) -> None:
    ec2 = server.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone=f"{REGION}b")["Subnet"][
        "SubnetId"
    ]
    group = ec2.create_security_group(GroupName="hosts", Description="d", VpcId=vpc)["GroupId"]
    gateways = ec2.create_security_group(GroupName="gateways", Description="d", VpcId=vpc)["GroupId"]
    rule = {
        "IpProtocol": "tcp",
        "FromPort": 20000,
        "ToPort": 29999,
        "UserIdGroupPairs": [{"GroupId": gateways}],
    }
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    assert refusal(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[rule]) == (
        "InvalidPermission.Duplicate"
    )
    made = ec2.run_instances(
        ImageId=IMAGE,
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.small",
        ClientToken="described-1",
        SubnetId=subnet,
        SecurityGroupIds=[group],
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
        BlockDeviceMappings=[
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {"VolumeSize": 30, "Encrypted": True, "DeleteOnTermination": True},
            }
        ],
    )["Instances"][0]
    found = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"][0]
    for one in (made, found):
        assert one["MetadataOptions"]["HttpTokens"] == "required"
        assert one["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        assert [each["GroupId"] for each in one["SecurityGroups"]] == [group]
        assert one["ClientToken"] == "described-1"
        assert one["SubnetId"] == subnet
        assert one["VpcId"] == vpc
        assert one["Placement"]["AvailabilityZone"] == f"{REGION}b"
    assert made["PrivateIpAddress"] == found["PrivateIpAddress"]
    root = found["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert ec2.describe_volumes(VolumeIds=[root])["Volumes"][0]["Encrypted"]
    ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    assert refusal(ec2.describe_volumes, VolumeIds=[root]) == "InvalidVolume.NotFound"


def test_data_volumes_are_attached_and_follow(server: Server) -> None:
    ec2 = server.client("ec2")
    one, two = (
        each["InstanceId"] for each in ec2.run_instances(ImageId=IMAGE, MinCount=2, MaxCount=2)["Instances"]
    )
    made = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=8, Encrypted=True)
    volume = made["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=one, Device="/dev/sdf")
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Attachments"][0]["InstanceId"] == one
    devices = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0][
        "BlockDeviceMappings"
    ]
    assert volume in {each["Ebs"]["VolumeId"] for each in devices}
    ec2.detach_volume(VolumeId=volume)
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available"
    ec2.attach_volume(VolumeId=volume, InstanceId=two, Device="/dev/sdf")
    ec2.terminate_instances(InstanceIds=[two])
    # A data volume outlives the instance, unlike its root disk.
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available"


def test_user_data_has_ec2s_limit(server: Server) -> None:
    ec2 = server.client("ec2")
    launch = {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1}
    ec2.run_instances(**launch, UserData="x" * 16384)
    assert refusal(ec2.run_instances, **launch, UserData="x" * 16385) == "InvalidParameterValue"


def test_file_systems_and_their_mount_targets(own_server: Server) -> None:
    server = own_server
    efs, ec2 = server.client("efs"), server.client("ec2")
    wanted = {"CreationToken": "files", "Encrypted": True, "Tags": [{"Key": "envforge:org", "Value": "a"}]}
    files = efs.create_file_system(**wanted)["FileSystemId"]
    assert refusal(efs.create_file_system, **wanted) == "FileSystemAlreadyExists"
    zones = {one["AvailabilityZone"]: one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]}
    group = ec2.create_security_group(GroupName="files", Description="d")["GroupId"]
    place = {"SubnetId": zones[f"{REGION}a"], "SecurityGroups": [group]}
    target = efs.create_mount_target(FileSystemId=files, **place)["MountTargetId"]
    assert refusal(efs.create_mount_target, FileSystemId=files, **place) == "MountTargetConflict"
    assert refusal(efs.create_mount_target, FileSystemId="fs-0123456789abcdef0", **place) == (
        "FileSystemNotFound"
    )
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    efs.put_file_system_policy(FileSystemId=files, Policy=policy)
    assert refusal(efs.put_file_system_policy, FileSystemId=files, Policy="{") == "InvalidPolicyException"
    server.end()
    server.start()
    [found] = efs.describe_file_systems(CreationToken="files")["FileSystems"]
    assert (found["FileSystemId"], found["Encrypted"]) == (files, True)
    assert found["LifeCycleState"] == "available"
    [standing] = efs.describe_mount_targets(FileSystemId=files)["MountTargets"]
    assert (standing["MountTargetId"], standing["AvailabilityZoneName"]) == (target, f"{REGION}a")
    assert efs.describe_mount_target_security_groups(MountTargetId=target)["SecurityGroups"] == [group]
    assert efs.describe_file_system_policy(FileSystemId=files)["Policy"] == policy
    assert efs.describe_file_systems(CreationToken="others")["FileSystems"] == []
    assert refusal(efs.describe_mount_targets, FileSystemId="fs-0123456789abcdef0") == "FileSystemNotFound"


def test_file_systems_ask_the_policies(own_server: Server) -> None:
    server = own_server
    efs, ec2 = server.client("efs"), server.client("ec2")
    arn = f"arn:aws:elasticfilesystem:{REGION}:{ACCOUNT}:file-system/*"
    network = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
    key = new_user(
        server,
        "fleet",
        allow("elasticfilesystem:CreateFileSystem", arn, Bool={"elasticfilesystem:Encrypted": "true"}),
        allow(
            "elasticfilesystem:TagResource",
            arn,
            StringEquals={"elasticfilesystem:CreateAction": "CreateFileSystem"},
        ),
        allow("elasticfilesystem:CreateMountTarget", arn, StringEquals={"aws:ResourceTag/owner": "fleet"}),
        allow("ec2:CreateNetworkInterface", f"{network}:subnet/*"),
        allow("ec2:CreateNetworkInterface", f"{network}:network-interface/*"),
        allow(
            "ec2:CreateNetworkInterface",
            f"{network}:security-group/*",
            StringEquals={"aws:ResourceTag/owner": "fleet"},
        ),
    )
    limited = server.client("efs", key)
    tags = [{"Key": "owner", "Value": "fleet"}]
    refused = "AccessDeniedException"
    assert refusal(limited.create_file_system, CreationToken="1", Tags=tags) == refused
    mine = limited.create_file_system(CreationToken="1", Encrypted=True, Tags=tags)["FileSystemId"]
    other = efs.create_file_system(CreationToken="2", Encrypted=True)["FileSystemId"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    own = ec2.create_security_group(
        GroupName="own", Description="d", TagSpecifications=[{"ResourceType": "security-group", "Tags": tags}]
    )["GroupId"]
    strange = ec2.create_security_group(GroupName="strange", Description="d")["GroupId"]
    for files, group in ((other, own), (mine, strange)):
        place = {"SubnetId": subnet, "SecurityGroups": [group]}
        assert refusal(limited.create_mount_target, FileSystemId=files, **place) == refused
    limited.create_mount_target(FileSystemId=mine, SubnetId=subnet, SecurityGroups=[own])
    assert refusal(limited.describe_file_systems) == refused
    assert refusal(limited.tag_resource, ResourceId=other, Tags=tags) == refused
    assert refusal(limited.delete_file_system, FileSystemId=mine) == refused
    with pytest.raises(Exception, match="file systems, their policies, mount targets and tags"):
        efs.describe_access_points()
