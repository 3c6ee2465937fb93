"""Opening workspaces, archiving, restoring and deleting them, and what is chosen for one (W4, W8, W12)."""

import re
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM, Actor, UserActor
from envforge.errors import Conflict, Invalid
from envforge.nudge import nudge
from hosts.models import Size
from orgs.access import hold_access
from orgs.operations.roles import grant_role
from orgs.policy import Action
from orgs.roles import Role, Scope
from projects.git_addresses import require_branch
from projects.locks import locked_project
from projects.models import Project
from workspaces import certificates, removals
from workspaces.locks import locked_workspace
from workspaces.models import Presence, Runtime, Shell, ShellState, SleepCause, Workspace
from workspaces.wants import want_asleep

LONGEST_SLUG = 32
IDLE_TIMEOUT_S = range(5 * 60, 12 * 3600 + 1)


def open_workspace(*, actor: Actor, org_id: UUID, project_id: UUID, branch: str) -> Workspace:
    """Open a project's branch as a place to work; its shell is prepared at once, and stays. Opening it again changes nothing.

    Whoever opens it is its operator.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: this is no branch's name.
        Conflict: the project, or this branch's workspace, is archived.
    """
    _require_branch(branch)
    with tenancy.enter(org_id):
        # It gives a role.
        hold_access()
        project = locked_project(actor, Action.WORKSPACE_CREATE, project_id)
        found = (
            Workspace.objects.filter(project=project, branch=branch).exclude(wanted=Presence.DELETED).first()
        )
        if found is not None:
            if found.wanted == Presence.ARCHIVED:
                raise Conflict(
                    f"The workspace of {branch} is archived. Restore it, and all its files are there."
                )
            return found
        now = timezone.now()
        made = Workspace.objects.create(
            project=project,
            branch=branch,
            slug=_slug(branch),
            opened_by=actor.label[:200],
            opened_by_person=next(iter(actor.people), None),
            opened_at=now,
            wanted_at=now,
            wanted_by=actor.label[:200],
        )
        shell = Shell.objects.create(workspace=made, observed_at=now, due_at=now)
        Runtime.objects.create(workspace=made, wanted_at=now, observed_at=now)
        append(EventKind.WORKSPACE_CREATED, actor=actor, target=made, branch=branch)
        if isinstance(actor, UserActor):
            grant_role(
                actor=SYSTEM,
                org_id=org_id,
                person_id=actor.person_id,
                role=Role.OPERATOR,
                scope=Scope.WORKSPACE,
                scope_id=made.id,
            )
        _nudge_shell(shell)
        return made


def archive_workspace(*, actor: Actor, org_id: UUID, workspace_id: UUID) -> Workspace:
    """Let a workspace go: it sleeps, its shell closes, and its files are kept for a while (`retain_until`). Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        workspace = locked_workspace(actor, Action.WORKSPACE_ARCHIVE, workspace_id)
        if workspace.wanted == Presence.PRESENT:
            _archive(workspace, actor)
        return workspace


def restore_workspace(*, actor: Actor, org_id: UUID, workspace_id: UUID) -> Workspace:
    """Take an archived workspace into use again, with its files. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Conflict: its files are gone, or its project is archived.
    """
    with tenancy.enter(org_id):
        workspace = locked_workspace(actor, Action.WORKSPACE_ARCHIVE, workspace_id)
        if workspace.wanted == Presence.PRESENT:
            return workspace
        now = timezone.now()
        # From then on its files are being deleted, on a VM and then everywhere, and nothing takes that back.
        if workspace.removed_at is not None or (workspace.retain_until and workspace.retain_until <= now):
            raise Conflict(
                "Its files were kept for as long as was promised, and are gone. Open the branch anew."
            )
        if workspace.project.archived_at is not None:
            raise Conflict(
                f"The project {workspace.project.name} is archived, so nothing in it can be opened."
            )
        workspace.wanted, workspace.wanted_at, workspace.wanted_by = Presence.PRESENT, now, actor.label[:200]
        workspace.retain_until = workspace.due_at = None
        workspace.version += 1
        workspace.save()
        shell = Shell.objects.select_for_update().get(workspace=workspace)
        shell.wanted, shell.due_at, shell.attempts = True, now, 0
        # Its VM may have been asked to leave, and do so after this: it is prepared behind that, whatever was seen of it.
        shell.observed, shell.observed_at, shell.asked_at = ShellState.ABSENT, now, None
        shell.version += 1
        shell.save()
        _nudge_shell(shell)
        append(EventKind.WORKSPACE_RESTORED, actor=actor, target=workspace)
        return workspace


def delete_workspace(*, actor: Actor, org_id: UUID, workspace_id: UUID, keep_data: bool = False) -> None:
    """Delete a workspace: its branch's name is free again, its slug never is.

    Args:
        keep_data: keep its files and managed data for the time that archived ones are kept; else they go at once.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        workspace = locked_workspace(actor, Action.WORKSPACE_DELETE, workspace_id)
        keep_for = settings.WORKSPACE_RETENTION if keep_data else timedelta(0)
        _let_go(workspace, Presence.DELETED, actor, keep_for=keep_for)
        append(EventKind.WORKSPACE_DELETED, actor=actor, target=workspace, data_removed=not keep_data)


def choose_size(*, actor: Actor, org_id: UUID, workspace_id: UUID, size: Size | None) -> None:
    """Choose the runtime's size from its next wake on; None takes what the contracts ask for.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    _choose(actor, org_id, workspace_id, "size", size or "")


def choose_idle_timeout(*, actor: Actor, org_id: UUID, workspace_id: UUID, seconds: int | None) -> None:
    """Choose after how long without activity the runtime sleeps, from its next wake on; None takes what the contracts ask for.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: it is not between 5 minutes and 12 hours.
    """
    if seconds is not None and seconds not in IDLE_TIMEOUT_S:
        words = "Choose a time between 5 minutes and 12 hours."
        raise Invalid(words, {"idle_timeout": words})
    _choose(actor, org_id, workspace_id, "idle_timeout_s", seconds)


def _choose(actor: Actor, org_id: UUID, workspace_id: UUID, field: str, value: str | int | None) -> None:
    with tenancy.enter(org_id):
        workspace = locked_workspace(actor, Action.RUNTIME_WAKE, workspace_id)
        if getattr(workspace, field) == value:
            return
        setattr(workspace, field, value)
        workspace.save(update_fields=[field])
        append(
            EventKind.WORKSPACE_CHANGED,
            actor=actor,
            target=workspace,
            setting=field.removesuffix("_s"),
            to=str(value or "contract"),
        )


def archive_with_project(*, actor: Actor, project: Project) -> None:
    """Its project is archived by somebody who may do that, and so are its workspaces (`projects.closing`)."""
    rows = Workspace.objects.select_for_update().filter(project=project, wanted=Presence.PRESENT)
    for workspace in rows.order_by("id"):
        _archive(workspace, actor)


def _archive(workspace: Workspace, actor: Actor) -> None:
    _let_go(workspace, Presence.ARCHIVED, actor, keep_for=settings.WORKSPACE_RETENTION)
    append(EventKind.WORKSPACE_ARCHIVED, actor=actor, target=workspace)


def _let_go(workspace: Workspace, wanted: Presence, actor: Actor, *, keep_for: timedelta) -> None:
    """Want a locked workspace's runtime asleep and its shell closed, and then its VMs' room and its files given up."""
    from workspaces import tasks  # noqa: PLC0415 - a task leads to the reconciler, which leads here

    now = timezone.now()
    runtime = Runtime.objects.select_for_update().get(workspace=workspace)
    runtime.workspace = workspace
    shell = Shell.objects.select_for_update().get(workspace=workspace)
    want_asleep(
        runtime, actor=actor, cause=SleepCause.DELETED if wanted == Presence.DELETED else SleepCause.ARCHIVED
    )
    shell.wanted, shell.due_at, shell.attempts = False, now, 0
    shell.version += 1
    shell.save()
    certificates.end_all_of(workspace, actor=actor, cause=f"workspace_{wanted}")
    removals.tell_let_go(workspace, str(wanted))
    workspace.wanted, workspace.wanted_at, workspace.wanted_by = wanted, now, actor.label[:200]
    workspace.retain_until = now + keep_for
    workspace.due_at, workspace.attempts = now, 0
    workspace.version += 1
    workspace.save()
    nudge(tasks.reconcile_workspace, workspace.org_id, workspace.id)


def _require_branch(branch: str) -> None:
    try:
        require_branch(branch)
    except Invalid as wrong:
        raise Invalid(wrong.detail, {"branch": wrong.detail}) from None


def _slug(branch: str) -> str:
    """A name for dev hosts (L2) that no workspace of the organization ever had."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('workspaces.slug:' || %s, 0))",
            [str(tenancy.current_org())],
        )
    plain = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")[:LONGEST_SLUG].strip("-") or "branch"
    taken = set(Workspace.objects.filter(slug__startswith=plain).values_list("slug", flat=True))
    number, slug = 1, plain
    while slug in taken:
        number += 1
        slug = f"{plain}-{number}"
    return slug


def _nudge_shell(shell: Shell) -> None:
    from workspaces import tasks  # noqa: PLC0415 - as above

    nudge(tasks.reconcile_shell, shell.org_id, shell.id)
