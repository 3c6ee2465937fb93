"""Where workspaces' files are: accounts of their own, a place on each provider, found again after every fault (DESIGN 6)."""

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

from envforge import tenancy
from envforge.host_forms import Files
from hosts import efs, files
from hosts.models import WorkspaceFiles
from tests.product.hosts.fleet import Fleet
from tests.product.world import World


@pytest.fixture
def file_system(monkeypatch: pytest.MonkeyPatch) -> str:
    """A file system of the account, as an operator makes it; the control plane may use it and make none."""
    root = json.loads(Path(os.environ["ENVFORGE_TEST_AWS_ROOT_KEY_FILE"]).read_text())
    connect: Any = boto3.client
    client = connect(
        "efs",
        endpoint_url=settings.AWS_ENDPOINT_URL,
        region_name=settings.AWS_REGION,
        aws_access_key_id=root["access_key_id"],
        aws_secret_access_key=root["secret_access_key"],
    )
    made = client.create_file_system(
        CreationToken=uuid4().hex, Encrypted=True, Tags=[{"Key": "envforge:files", "Value": "workspaces"}]
    )["FileSystemId"]
    monkeypatch.setattr(settings, "WORKSPACE_FILES", Files("efs", made))
    return str(made)


def settled(fleet: Fleet, workspace_id: Any) -> files.FilesView | None:
    files.sweep()
    return files.files_of(org_id=fleet.org_id, workspace_id=workspace_id)


def points(file_system: str, fleet: Fleet) -> list[dict[str, Any]]:
    """The organization's; a sweep settles what others left due, too."""
    found = efs._client().describe_access_points(FileSystemId=file_system)["AccessPoints"]
    return [one for one in found if {"Key": "envforge:org", "Value": str(fleet.org_id)} in one["Tags"]]


def test_a_workspace_gets_an_access_point_of_its_own_account(fleet: Fleet, file_system: str) -> None:
    workspace = uuid4()
    asked = files.want_files(org_id=fleet.org_id, workspace_id=workspace)
    assert not asked.ready
    found = settled(fleet, workspace)
    assert found
    assert (found.kind, found.file_system) == ("access_point", file_system)
    [point] = points(file_system, fleet)
    assert point["AccessPointId"] == found.place
    assert point["PosixUser"] == {"Uid": asked.uid, "Gid": asked.uid}
    assert point["RootDirectory"]["Path"] == f"/{fleet.org_id}/{workspace}"
    assert point["RootDirectory"]["CreationInfo"]["Permissions"] == "0700"
    assert files.want_files(org_id=fleet.org_id, workspace_id=workspace) == found


def test_accounts_never_overlap(fleet: Fleet, world: World) -> None:
    uids = sorted(
        files.want_files(org_id=org_id, workspace_id=uuid4()).uid
        for org_id in (fleet.org_id, world.mallet.id) * 3
    )
    assert uids[0] >= 100_000
    assert all(later - earlier >= 16 for earlier, later in pairwise(uids))


def test_w11_an_access_point_that_was_made_and_not_recorded_is_found(fleet: Fleet, file_system: str) -> None:
    workspace = uuid4()
    asked = files.want_files(org_id=fleet.org_id, workspace_id=workspace)
    made = efs.ensure_access_point(
        file_system=file_system, org_id=fleet.org_id, workspace_id=workspace, uid=asked.uid
    )
    found = settled(fleet, workspace)
    assert found
    assert found.place == made
    assert len(points(file_system, fleet)) == 1


def test_a_place_that_is_dropped_goes_and_its_accounts_stay(fleet: Fleet, file_system: str) -> None:
    workspace = uuid4()
    first = files.want_files(org_id=fleet.org_id, workspace_id=workspace)
    settled(fleet, workspace)
    files.drop_files(org_id=fleet.org_id, workspace_id=workspace)
    assert settled(fleet, workspace) is None
    assert points(file_system, fleet) == []
    with tenancy.enter(fleet.org_id):
        assert WorkspaceFiles.objects.get(workspace_id=workspace).removed_at
    assert files.want_files(org_id=fleet.org_id, workspace_id=workspace).uid == first.uid


def test_a_directory_needs_no_vendor(fleet: Fleet) -> None:
    workspace = uuid4()
    files.want_files(org_id=fleet.org_id, workspace_id=workspace)
    found = settled(fleet, workspace)
    assert found
    assert (found.kind, found.place) == ("directory", f"{settings.WORKSPACE_FILES.place}/{workspace}")


def test_k1_the_control_plane_makes_no_file_system_and_touches_no_others(
    fleet: Fleet, file_system: str
) -> None:
    client = efs._client()
    with pytest.raises(ClientError, match="AccessDenied|not authorized"):
        client.create_file_system(CreationToken=uuid4().hex)
    with pytest.raises(ClientError, match="AccessDenied|not authorized"):
        client.delete_file_system(FileSystemId=file_system)
