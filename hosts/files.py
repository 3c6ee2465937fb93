"""Where workspaces' files are, and the accounts they belong to: asked for by apps above, brought about by a reconciler.

Files lie apart from VMs (DESIGN 6), so that sleep, replacement and another VM lose nothing. `ENVFORGE_FILES` says where:
on a file system of EFS for each organization, in a directory for each workspace; or in a directory that is the same on every VM.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from envforge import tenancy
from envforge.nudge import nudge
from envforge_protocol.host.workspaces import ACCOUNTS_PER_WORKSPACE
from hosts import due, ec2, efs
from hosts.lookups import workspace_files_due
from hosts.models import WorkspaceFiles
from hosts.vendor import Refused

FIRST_UID = 100_000
MOST_DUE = 200
# A file system and its mount targets are made within minutes, once for each organization.
POLL = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class FilesView:
    """A workspace's files: `uid` is the first of its accounts; `kind` is `file_system` or `directory`, empty until there is one.

    `place` is a directory of the VM, or of the organization's file system.
    """

    workspace_id: UUID
    uid: int
    kind: str
    file_system: str
    place: str

    @property
    def ready(self) -> bool:
        return bool(self.place)


def want_files(*, org_id: UUID, workspace_id: UUID) -> FilesView:
    """Want a place for a workspace's files; it is there within seconds. Asking again changes nothing.

    A place that was given up and is wanted again keeps its accounts, whose numbers stand in the files.
    """
    with tenancy.enter(org_id):
        row = WorkspaceFiles.objects.select_for_update().filter(workspace_id=workspace_id).first()
        now = timezone.now()
        if row is None:
            row, made = WorkspaceFiles.objects.get_or_create(
                org_id=org_id, workspace_id=workspace_id, defaults={"uid": _next_uid(), "due_at": now}
            )
            if made:
                _nudge(row)
        elif not row.wanted_present:
            row.wanted_present, row.removed_at, row.due_at = True, None, now
            row.version += 1
            row.save()
            _nudge(row)
        return _view(row)


def drop_files(*, org_id: UUID, workspace_id: UUID) -> None:
    """Want the place gone. What lies in it is deleted before, on a VM, by whoever decided so (`remove_workspace`)."""
    with tenancy.enter(org_id):
        row = WorkspaceFiles.objects.select_for_update().filter(workspace_id=workspace_id).first()
        if row is not None and row.wanted_present:
            row.wanted_present, row.due_at = False, timezone.now()
            row.version += 1
            row.save()
            _nudge(row)


def files_of(*, org_id: UUID, workspace_id: UUID) -> FilesView | None:
    """The workspace's files, if they were ever wanted and are not given up."""
    with tenancy.enter(org_id):
        row = WorkspaceFiles.objects.filter(workspace_id=workspace_id, wanted_present=True).first()
        return _view(row) if row else None


def settle(org_id: UUID, files_id: UUID) -> bool:
    """Take the step that is due; answers whether one was (`hosts.due`)."""
    return due.settle(WorkspaceFiles.objects, org_id, files_id, _bring_about)


def sweep() -> int:
    """Take every step that is due; answers how many."""
    return sum(settle(*pair) for pair in workspace_files_due(timezone.now(), MOST_DUE))


def _bring_about(row: WorkspaceFiles) -> dict[str, Any]:
    """The place as it is wanted; empty for none."""
    where = settings.WORKSPACE_FILES
    if where is None:
        raise Refused("ENVFORGE_FILES")
    if not row.wanted_present:
        return {"place": "", "removed_at": timezone.now()}
    if where.kind == "directory":
        return {"place": f"{where.place}/{row.workspace_id}", "removed_at": None}
    made = efs.ensure_file_system(org_id=row.org_id, key=where.place)
    # The group first: a mount target is never without it.
    if not made.available or not efs.ensure_mount_targets(
        file_system=made.id, subnets=settings.HOST_SUBNETS, group=ec2.files_group(row.org_id)
    ):
        return {"due_at": timezone.now() + POLL}
    return {"place": f"{made.id}:/{row.workspace_id}", "removed_at": None}


def _next_uid() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('hosts_workspace_number')")
        [number] = cursor.fetchone()
    return FIRST_UID + (int(number) - 1) * ACCOUNTS_PER_WORKSPACE


def _view(row: WorkspaceFiles) -> FilesView:
    file_system, colon, place = row.place.partition(":")
    if colon and file_system.startswith("fs-"):
        return FilesView(row.workspace_id, row.uid, "file_system", file_system, place)
    return FilesView(row.workspace_id, row.uid, "directory" if row.place else "", "", row.place)


def _nudge(row: WorkspaceFiles) -> None:
    from hosts import tasks  # noqa: PLC0415 - a task leads here

    nudge(tasks.settle_files, row.org_id, row.id)
