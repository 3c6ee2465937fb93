"""Shells: always there while their workspace is (W5)."""

from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.nudge import nudge
from envforge_protocol.host.commands import PrepareShell
from envforge_protocol.host.runtimes import Reference
from envforge_protocol.host.workspaces import Repository as WireRepository
from hosts import queue
from hosts.files import FilesView, want_files
from hosts.models import HostRole, Size
from hosts.placement import SlotView, awake_slot
from hosts.words import says
from projects.models import Repository
from secrets_ref.grants import SecretsNotReady, resolve_grants
from workspaces import authorities
from workspaces.models import Presence, Shell, ShellState, Workspace
from workspaces.wire import SHELL_LIMITS, on_vm

SOON = timedelta(seconds=2)
# A VM that is coming up says so itself; this is for what it says getting lost.
LOOK_AGAIN = timedelta(seconds=20)
# Prepared again it finds what is new: a repository of the project, a branch that is gone.
LOOKED_AT_EVERY = timedelta(days=1)
PREPARES_WITHIN = timedelta(minutes=30)
LONGEST_BACKOFF = timedelta(minutes=10)
STEPS_AT_ONCE = 4


def reconcile(org_id: UUID, shell_id: UUID) -> int:
    """Take the steps that are due; answers how many."""
    # The authority's private half lies in the parameter store: asked for outside of any transaction.
    authority = authorities.public_key(org_id)
    taken = 0
    while taken < STEPS_AT_ONCE and _step(org_id, shell_id, authority):
        taken += 1
    return taken


def prepare_again(shell: Shell, now: datetime) -> None:
    """Prepare a locked shell anew: what is there stays as it is, what is missing is made."""
    if shell.observed != ShellState.PREPARING:
        shell.observed, shell.observed_at = ShellState.ABSENT, now
    shell.asked_at = None
    touch(shell, now)


def touch(shell: Shell, now: datetime) -> None:
    """Note a change that is to be followed up at once, and store the row."""
    from workspaces import tasks  # noqa: PLC0415 - a task leads here

    shell.version += 1
    shell.due_at = now
    shell.save()
    nudge(tasks.reconcile_shell, shell.org_id, shell.id)


def backoff(attempts: int) -> timedelta:
    return min(timedelta(seconds=5) * (1 << min(attempts, 10)), LONGEST_BACKOFF)


def _step(org_id: UUID, shell_id: UUID, authority: str) -> bool:
    with tenancy.enter(org_id):
        found = Shell.objects.filter(id=shell_id).values_list("workspace_id", flat=True).first()
        workspace = Workspace.objects.select_for_update().filter(id=found).first() if found else None
        if workspace is None:
            return False
        shell = Shell.objects.select_for_update().get(id=shell_id)
        now = timezone.now()
        if shell.due_at is None or shell.due_at > now:
            return False
        if not shell.wanted or workspace.wanted != Presence.PRESENT:
            # `removal` gives up what it has.
            _rest(shell, None)
            return False
        slot = _slot(workspace, shell)
        files = want_files(org_id=org_id, workspace_id=workspace.id)
        if not slot.ready or not files.ready:
            shell.trouble = says(slot.trouble)
            _rest(shell, now + (LOOK_AGAIN if files.ready else SOON))
            return False
        there = (shell.host_id, shell.generation) == (slot.host_id, slot.generation)
        if shell.observed == ShellState.READY and there and now - shell.observed_at < LOOKED_AT_EVERY:
            _rest(shell, shell.observed_at + LOOKED_AT_EVERY)
            return False
        asked_at = shell.asked_at if shell.observed == ShellState.PREPARING and there else None
        if asked_at is not None and now - asked_at <= PREPARES_WITHIN:
            _rest(shell, asked_at + PREPARES_WITHIN)
            return False
        _ask(workspace, shell, slot, files, authority, now)
        return True


def _slot(workspace: Workspace, shell: Shell) -> SlotView:
    slot = awake_slot(
        actor=SYSTEM,
        org_id=workspace.org_id,
        workspace_id=workspace.id,
        label=workspace.branch[:120],
        role=HostRole.SHELL,
        size=Size.SMALL,
    )
    shell.slot_id = slot.id
    return slot


def _ask(
    workspace: Workspace, shell: Shell, slot: SlotView, files: FilesView, authority: str, now: datetime
) -> None:
    assert slot.host_id is not None  # noqa: S101 - a slot that is ready has a VM; for the types
    shell.turn += 1
    shell.host_id, shell.generation = slot.host_id, slot.generation
    shell.observed, shell.observed_at, shell.asked_at = ShellState.PREPARING, now, now
    shell.trouble = ""
    queue.want(
        host_id=slot.host_id,
        payload=PrepareShell(
            workspace=on_vm(workspace, files),
            repositories=repositories_of(workspace),
            certificate_authority=authority,
            shell_limits=SHELL_LIMITS,
        ),
        key=f"shell/{workspace.id}/{shell.turn}",
        cause="workspace",
        expires_in=PREPARES_WITHIN,
    )
    shell.version += 1
    shell.due_at = now + PREPARES_WITHIN
    shell.save()


def repositories_of(workspace: Workspace) -> tuple[WireRepository, ...]:
    """What is checked out in a workspace; access only as a reference (H2)."""
    rows = Repository.objects.filter(project_id=workspace.project_id, removed_at=None).select_related(
        "access"
    )
    return tuple(
        WireRepository(
            directory=row.name,
            url=row.url,
            branch=workspace.branch,
            fallback_branch=row.default_branch,
            access=_access(workspace, row),
        )
        for row in rows.order_by("name")
    )


def _access(workspace: Workspace, row: Repository) -> Reference | None:
    """Where the credential lies; without one that is there, the repository is read as anybody may, and the refusal says why."""
    if row.access is None or not row.access.in_use:
        return None
    try:
        [grant] = resolve_grants(
            org_id=workspace.org_id, wanted=[(row.name, [row.access.name])], project_id=workspace.project_id
        )
    except SecretsNotReady:
        return None
    found = grant.references[row.access.name]
    return Reference(input="access", arn=found.arn, version=found.version)


def _rest(shell: Shell, until: datetime | None) -> None:
    shell.due_at = until
    shell.save()
