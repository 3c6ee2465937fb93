"""Archived and deleted workspaces: their VMs let go, their files kept as long as was decided, and then a final receipt (W12)."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db.models import Sum
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import EnvForgeError
from envforge_protocol.host.commands import RemoveWorkspace
from hosts import queue
from hosts.files import FilesView, drop_files, files_of
from hosts.models import HostRole, Size
from hosts.placement import SlotView, awake_slot, deactivate_slot, release_slot, slot_of
from hosts.volumes import drop_volume
from secrets_ref.models import Secret
from secrets_ref.operations import delete_secret
from workspaces.models import (
    MeterWindow,
    Observed,
    Presence,
    Runtime,
    Shell,
    ShellState,
    Wake,
    Workspace,
)
from workspaces.removals import remove_parts
from workspaces.wire import on_vm

LOOK_AGAIN = timedelta(seconds=10)
# A VM that does not leave by then is not waited for: it has no room of the workspace's any more, and is stopped by the fleet.
LEAVES_WITHIN = timedelta(minutes=5)
LONGEST_BACKOFF = timedelta(hours=1)

log = structlog.get_logger(__name__)


def reconcile(org_id: UUID, workspace_id: UUID) -> int:
    """Take the step that is due; answers whether one was."""
    with tenancy.enter(org_id):
        workspace = Workspace.objects.select_for_update().filter(id=workspace_id).first()
        now = timezone.now()
        if workspace is None or workspace.due_at is None or workspace.due_at > now:
            return 0
        if workspace.wanted == Presence.PRESENT or workspace.removed_at is not None:
            workspace.due_at = None
            workspace.save(update_fields=["due_at"])
            return 0
        ready_to_go = _step(workspace, now)
        workspace.save()
    if ready_to_go:
        _remove(org_id, workspace_id)
    return 1


def _step(workspace: Workspace, now: datetime) -> bool:
    """One step; answers whether nothing is left on any VM and what lies elsewhere is to go now."""
    runtime = Runtime.objects.select_for_update().get(workspace=workspace)
    shell = Shell.objects.select_for_update().get(workspace=workspace)
    over = workspace.retain_until is not None and workspace.retain_until <= now
    if runtime.observed not in {Observed.ASLEEP, Observed.FAILED}:
        workspace.due_at = now + LOOK_AGAIN
        return False
    files = files_of(org_id=workspace.org_id, workspace_id=workspace.id)
    if over and not (workspace.files_deleted_at or files is None or not files.ready):
        _delete_files(workspace, shell, files, now)
        return False
    if not over and not _left_vms(workspace, shell, files, now):
        return False
    for role in (HostRole.RUNTIME, HostRole.SHELL):
        _release(workspace, role)
    shell.slot = runtime.slot = None
    shell.observed, shell.due_at = ShellState.ABSENT, None
    shell.save()
    runtime.save(update_fields=["slot"])
    workspace.due_at = None if over else workspace.retain_until
    if over:
        # Should this process end now, it is taken up again.
        workspace.due_at = now + LOOK_AGAIN
    return over


def _delete_files(workspace: Workspace, shell: Shell, files: FilesView, now: datetime) -> None:
    """On a VM, since only VMs reach them; one is started for it where none is there."""
    slot = awake_slot(
        actor=SYSTEM,
        org_id=workspace.org_id,
        workspace_id=workspace.id,
        label=workspace.branch[:120],
        role=HostRole.SHELL,
        size=Size.SMALL,
    )
    shell.slot_id = slot.id
    shell.save(update_fields=["slot"])
    _leave_runtime_vm(workspace, files)
    if slot.ready and slot.host_id is not None:
        queue.want(
            host_id=slot.host_id,
            payload=RemoveWorkspace(workspace=on_vm(workspace, files), delete_files=True),
            key=f"remove/{workspace.id}/{workspace.version}",
            cause="removal",
            expires_in=LEAVES_WITHIN,
        )
        workspace.attempts += 1
        # Asked again under another key, should it not be done by then; its end makes this due at once.
        workspace.version += 1
        workspace.due_at = now + max(LEAVES_WITHIN + LOOK_AGAIN, _backoff(workspace.attempts))
    else:
        workspace.due_at = now + LOOK_AGAIN


def _left_vms(workspace: Workspace, shell: Shell, files: FilesView | None, now: datetime) -> bool:
    """Whether its VMs have nothing of it any more, or cannot be asked; else asks them."""
    if shell.observed == ShellState.ABSENT or files is None or not files.ready:
        return True
    slot = slot_of(org_id=workspace.org_id, workspace_id=workspace.id, role=HostRole.SHELL)
    if slot is None or not slot.ready or slot.host_id is None or now - workspace.wanted_at > LEAVES_WITHIN:
        return True
    _leave_runtime_vm(workspace, files)
    _ask_to_leave(workspace, slot, files)
    workspace.due_at = workspace.wanted_at + LEAVES_WITHIN + LOOK_AGAIN
    return False


def _leave_runtime_vm(workspace: Workspace, files: FilesView) -> None:
    slot = slot_of(org_id=workspace.org_id, workspace_id=workspace.id, role=HostRole.RUNTIME)
    if slot is not None and slot.ready:
        _ask_to_leave(workspace, slot, files)


def _ask_to_leave(workspace: Workspace, slot: SlotView, files: FilesView) -> None:
    assert slot.host_id is not None  # noqa: S101 - a slot that is ready has a VM; for the types
    queue.want(
        host_id=slot.host_id,
        payload=RemoveWorkspace(workspace=on_vm(workspace, files)),
        key=f"leave/{workspace.id}/{int(workspace.wanted_at.timestamp())}",
        cause="removal",
        expires_in=LEAVES_WITHIN,
    )


def _release(workspace: Workspace, role: HostRole) -> None:
    slot = slot_of(org_id=workspace.org_id, workspace_id=workspace.id, role=role)
    if slot is not None:
        if slot.active:
            deactivate_slot(actor=SYSTEM, org_id=workspace.org_id, slot_id=slot.id)
        release_slot(actor=SYSTEM, org_id=workspace.org_id, slot_id=slot.id)


def _remove(org_id: UUID, workspace_id: UUID) -> None:
    """What lies outside of our database goes, and then the final receipt is written; again, from wherever it stopped."""
    with tenancy.enter(org_id):
        drop_files(org_id=org_id, workspace_id=workspace_id)
        drop_volume(org_id=org_id, workspace_id=workspace_id)
        secrets = list(
            Secret.objects.filter(workspace_id=workspace_id, deleted_at=None).values_list("id", flat=True)
        )
        parameters = Secret.objects.filter(workspace_id=workspace_id).count()
    try:
        for secret_id in secrets:
            delete_secret(actor=SYSTEM, org_id=org_id, secret_id=secret_id)
        others = remove_parts(org_id, workspace_id)
    except EnvForgeError as error:
        log.warning("workspaces.removal_put_off", workspace=str(workspace_id), reason=type(error).__name__)
        with tenancy.enter(org_id):
            workspace = Workspace.objects.select_for_update().get(id=workspace_id)
            workspace.attempts += 1
            workspace.due_at = timezone.now() + _backoff(workspace.attempts)
            workspace.save(update_fields=["attempts", "due_at"])
        return
    with tenancy.enter(org_id):
        workspace = Workspace.objects.select_for_update().get(id=workspace_id)
        if workspace.removed_at is not None or workspace.wanted == Presence.PRESENT:
            return
        workspace.removed_at, workspace.due_at = timezone.now(), None
        workspace.version += 1
        workspace.save()
        awake = MeterWindow.objects.filter(workspace=workspace).aggregate(seconds=Sum("seconds"))
        append(
            EventKind.WORKSPACE_REMOVED,
            actor=SYSTEM,
            target=workspace,
            parameters=parameters,
            others=others,
            wakes=Wake.objects.filter(runtime__workspace=workspace).count(),
            awake_s=awake["seconds"] or 0,
            wanted_by=workspace.wanted_by,
        )


def _backoff(attempts: int) -> timedelta:
    return min(timedelta(seconds=10) * (1 << min(attempts, 10)), LONGEST_BACKOFF)
