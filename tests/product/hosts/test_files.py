"""Where workspaces' files are: accounts of their own, a file system for each organization, found again after every fault."""

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from django.conf import settings
from django.utils import timezone

from envforge import host_forms, tenancy
from envforge.host_forms import Files
from hosts import ec2, efs, files
from hosts.models import WorkspaceFiles
from tests.product.hosts.fleet import Fleet
from tests.product.world import World
from workspaces import wire
from workspaces.models import Workspace


@pytest.fixture
def root() -> Any:
    """EFS as the account's root sees it: what the control plane may not look at itself."""
    key = json.loads(Path(os.environ["ENVFORGE_TEST_AWS_ROOT_KEY_FILE"]).read_text())
    connect: Any = boto3.client
    return connect(
        "efs",
        endpoint_url=settings.AWS_ENDPOINT_URL,
        region_name=settings.AWS_REGION,
        aws_access_key_id=key["access_key_id"],
        aws_secret_access_key=key["secret_access_key"],
    )


@pytest.fixture
def on_efs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "WORKSPACE_FILES", Files("efs", ""))


def settled(fleet: Fleet, workspace_id: Any, org_id: Any = None) -> files.FilesView | None:
    files.sweep()
    return files.files_of(org_id=org_id or fleet.org_id, workspace_id=workspace_id)


def file_systems(root: Any, org_id: Any) -> list[dict[str, Any]]:
    pages = root.get_paginator("describe_file_systems").paginate()
    everything = [one for page in pages for one in page["FileSystems"]]
    return [one for one in everything if {"Key": "envforge:org", "Value": str(org_id)} in one["Tags"]]


@pytest.mark.usefixtures("on_efs")
def test_an_organization_gets_one_encrypted_file_system(fleet: Fleet, root: Any) -> None:
    one, two = uuid4(), uuid4()
    asked = files.want_files(org_id=fleet.org_id, workspace_id=one)
    assert not asked.ready
    found = settled(fleet, one)
    files.want_files(org_id=fleet.org_id, workspace_id=two)
    beside = settled(fleet, two)
    assert found
    assert beside
    [made] = file_systems(root, fleet.org_id)
    assert (found.kind, found.file_system, found.place) == ("file_system", made["FileSystemId"], f"/{one}")
    assert (beside.file_system, beside.place) == (made["FileSystemId"], f"/{two}")
    assert made["Encrypted"] is True
    assert files.want_files(org_id=fleet.org_id, workspace_id=one) == found
    on_vm = wire.on_vm(Workspace(id=one, org_id=fleet.org_id, slug="main"), found).storage
    assert (on_vm.kind, on_vm.file_system) == ("file_system", made["FileSystemId"])


@pytest.mark.usefixtures("on_efs")
def test_v4_a_file_system_admits_nfs_from_its_organizations_vms_alone_and_by_tls(
    fleet: Fleet, world: World, root: Any
) -> None:
    """V4: each mount target is in the organization's own group, which admits nobody else's VMs, and no other port."""
    places = {}
    for org_id in (fleet.org_id, world.mallet.id):
        workspace = uuid4()
        files.want_files(org_id=org_id, workspace_id=workspace)
        found = settled(fleet, workspace, org_id)
        assert found
        places[org_id] = found.file_system
    assert len(set(places.values())) == 2
    groups = ec2._client().describe_security_groups()["SecurityGroups"]
    for org_id, file_system in places.items():
        targets = root.describe_mount_targets(FileSystemId=file_system)["MountTargets"]
        zones = {ec2.zone_of_subnet(one) for one in settings.HOST_SUBNETS}
        assert {one["AvailabilityZoneName"] for one in targets} == zones
        for target in targets:
            [group] = root.describe_mount_target_security_groups(MountTargetId=target["MountTargetId"])[
                "SecurityGroups"
            ]
            [rule] = next(one for one in groups if one["GroupId"] == group)["IpPermissions"]
            assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 2049, 2049)
            assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [ec2.security_group(org_id)]
            assert not rule["IpRanges"]
        policy = json.loads(root.describe_file_system_policy(FileSystemId=file_system)["Policy"])
        [refused] = [one for one in policy["Statement"] if one["Effect"] == "Deny"]
        assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert refused["Principal"] == {"AWS": "*"}


@pytest.mark.usefixtures("on_efs")
def test_v4_a_group_of_files_is_put_right(fleet: Fleet) -> None:
    """V4: what somebody opened by hand is closed again."""
    group = ec2.files_group(fleet.org_id)
    wide = {
        "IpProtocol": "tcp",
        "FromPort": 2049,
        "ToPort": 2049,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }
    ec2._client().authorize_security_group_ingress(GroupId=group, IpPermissions=[wide])
    assert ec2.files_group(fleet.org_id) == group
    [found] = ec2._client().describe_security_groups(GroupIds=[group])["SecurityGroups"]
    [rule] = found["IpPermissions"]
    assert not rule["IpRanges"]


@pytest.mark.usefixtures("on_efs")
def test_w11_a_file_system_that_was_made_and_not_recorded_is_found(fleet: Fleet, root: Any) -> None:
    workspace = uuid4()
    made = efs.ensure_file_system(org_id=fleet.org_id, key="")
    files.want_files(org_id=fleet.org_id, workspace_id=workspace)
    found = settled(fleet, workspace)
    assert found
    assert found.file_system == made.id
    assert len(file_systems(root, fleet.org_id)) == 1


@pytest.mark.usefixtures("on_efs")
def test_files_wait_for_a_file_system_that_is_being_made(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What EFS takes minutes for is asked about again, and nothing is recorded before."""
    workspace = uuid4()
    files.want_files(org_id=fleet.org_id, workspace_id=workspace)
    monkeypatch.setattr(efs, "AVAILABLE", "ready at last")
    waiting = settled(fleet, workspace)
    assert waiting
    assert not waiting.ready
    with tenancy.enter(fleet.org_id):
        row = WorkspaceFiles.objects.get(workspace_id=workspace)
        assert (row.place, row.trouble) == ("", "")
        assert row.due_at
        row.due_at = timezone.now()
        row.save()
    monkeypatch.undo()
    monkeypatch.setattr(settings, "WORKSPACE_FILES", Files("efs", ""))
    found = settled(fleet, workspace)
    assert found
    assert found.ready


@pytest.mark.usefixtures("on_efs")
def test_a_file_system_that_is_not_encrypted_is_not_used(fleet: Fleet, root: Any) -> None:
    root.create_file_system(CreationToken=f"envforge-{fleet.org_id}")
    workspace = uuid4()
    files.want_files(org_id=fleet.org_id, workspace_id=workspace)
    found = settled(fleet, workspace)
    assert found
    assert not found.ready
    with tenancy.enter(fleet.org_id):
        assert WorkspaceFiles.objects.get(workspace_id=workspace).trouble == "refused"


def test_accounts_never_overlap(fleet: Fleet, world: World) -> None:
    uids = sorted(
        files.want_files(org_id=org_id, workspace_id=uuid4()).uid
        for org_id in (fleet.org_id, world.mallet.id) * 3
    )
    assert uids[0] >= 100_000
    assert all(later - earlier >= 16 for earlier, later in pairwise(uids))


@pytest.mark.usefixtures("on_efs")
def test_a_place_that_is_dropped_goes_and_its_accounts_and_the_file_system_stay(
    fleet: Fleet, root: Any
) -> None:
    workspace = uuid4()
    first = files.want_files(org_id=fleet.org_id, workspace_id=workspace)
    settled(fleet, workspace)
    files.drop_files(org_id=fleet.org_id, workspace_id=workspace)
    assert settled(fleet, workspace) is None
    assert len(file_systems(root, fleet.org_id)) == 1
    with tenancy.enter(fleet.org_id):
        row = WorkspaceFiles.objects.get(workspace_id=workspace)
        assert row.removed_at
        assert row.place == ""
    assert files.want_files(org_id=fleet.org_id, workspace_id=workspace).uid == first.uid


def test_a_directory_needs_no_vendor(fleet: Fleet) -> None:
    workspace = uuid4()
    files.want_files(org_id=fleet.org_id, workspace_id=workspace)
    found = settled(fleet, workspace)
    assert found
    assert (found.kind, found.place) == ("directory", f"{settings.WORKSPACE_FILES.place}/{workspace}")


def test_k1_the_control_plane_deletes_no_file_system_and_touches_no_others(fleet: Fleet, root: Any) -> None:
    """K1: file systems with EnvForge's tags, encrypted; no other may be made, opened or tagged, and none be deleted."""
    client = efs._client()
    tags = [{"Key": "envforge:org", "Value": "a"}, {"Key": "envforge:files", "Value": "organization"}]
    other = root.create_file_system(CreationToken=uuid4().hex, Encrypted=True)["FileSystemId"]
    own = efs.ensure_file_system(org_id=fleet.org_id, key="").id
    group = ec2.files_group(fleet.org_id)
    place = {"SubnetId": settings.HOST_SUBNETS[0], "SecurityGroups": [group]}
    for refused, asked in (
        (client.create_file_system, {"CreationToken": uuid4().hex, "Encrypted": True}),
        (client.create_file_system, {"CreationToken": uuid4().hex, "Tags": tags}),
        (client.create_mount_target, {"FileSystemId": other, **place}),
        (
            client.create_mount_target,
            {"FileSystemId": own, **place, "SecurityGroups": [settings.GATEWAY_SECURITY_GROUP]},
        ),
        (client.put_file_system_policy, {"FileSystemId": other, "Policy": efs.POLICY}),
        (client.tag_resource, {"ResourceId": other, "Tags": tags}),
        (client.delete_file_system, {"FileSystemId": own}),
    ):
        with pytest.raises(ClientError, match="AccessDenied|not authorized"):
            refused(**asked)


@pytest.mark.parametrize("value", ["efs", "efs:alias/envforge-platform", "directory:/srv/files"])
def test_the_setting_names_a_place_that_can_be_read(value: str) -> None:
    kind, _, place = value.partition(":")
    assert host_forms.files(value) == Files(kind, place)


@pytest.mark.parametrize("value", ["", "efs:", "efs:fs-0123456789abcdef0", "directory", "directory:files"])
def test_the_setting_refuses_what_is_no_place(value: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        host_forms.files(value)
