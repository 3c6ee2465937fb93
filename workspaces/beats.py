"""What VMs tell of running services and changed files, every few seconds or as it happens (`hosts.hooks`)."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from envforge.actor import HostActor
from envforge_protocol.host.commands import ReadContract
from envforge_protocol.host.reports import ContractChanged, Heartbeat, Report, ServiceEnded
from hosts import queue
from hosts.files import files_of
from projects.models import Repository
from workspaces.models import Observed, Presence, RunningService, Runtime, Workspace
from workspaces.wire import on_vm

READS_WITHIN = timedelta(minutes=5)


def note_health(actor: HostActor, heartbeat: Heartbeat) -> None:
    """How each service does; only what changed is written, and only of the wake and VM that the rows are of."""
    told = {(one.workspace_id, one.name): one for one in heartbeat.services}
    if not told:
        return
    rows = RunningService.objects.filter(
        host_id=actor.host_id,
        generation=actor.generation,
        runtime__workspace_id__in={workspace for workspace, _ in told},
        runtime__observed="awake",
    ).select_related("runtime")
    for row in rows:
        one = told.get((row.runtime.workspace_id, row.name))
        if one is None or one.epoch != row.epoch:
            continue
        if (row.health, row.restarts) != (one.health.value, one.restarts):
            RunningService.objects.filter(id=row.id, epoch=one.epoch).update(
                health=one.health.value, since=min(one.since, timezone.now()), restarts=one.restarts
            )


def note_resources(actor: HostActor, heartbeat: Heartbeat) -> None:
    """How each managed resource does, as `note_health`."""
    told: dict[tuple[UUID, int], dict[str, dict[str, str]]] = {}
    now = timezone.now()
    for one in heartbeat.resources:
        state = {"health": one.health.value, "since": min(one.since, now).isoformat()}
        told.setdefault((one.workspace_id, one.epoch), {})[one.name] = state
    if not told:
        return
    rows = Runtime.objects.filter(
        host_id=actor.host_id,
        generation=actor.generation,
        workspace_id__in={workspace for workspace, _ in told},
        observed=Observed.AWAKE,
    )
    for row in rows:
        found = told.get((row.workspace_id, row.epoch))
        if found is not None and _health_of(row.resources | found) != _health_of(row.resources):
            Runtime.objects.filter(id=row.id, epoch=row.epoch).update(resources=row.resources | found)


def _health_of(resources: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: state["health"] for name, state in resources.items()}


def service_ended(actor: HostActor, report: Report) -> None:
    """A service ended by itself; its VM starts it again, until that is no use."""
    told = report.body
    assert isinstance(told, ServiceEnded)  # noqa: S101 - registered for this kind; for the types
    RunningService.objects.filter(
        host_id=actor.host_id,
        generation=actor.generation,
        runtime__workspace_id=told.workspace_id,
        epoch=told.epoch,
        name=told.service,
    ).update(health=_health(told), since=timezone.now(), restarts=told.restarts)


def _health(told: ServiceEnded) -> str:
    if not told.gave_up:
        return "unhealthy"
    # A job that is done.
    return "crashed" if told.exit_status else "stopped"


def contract_changed(actor: HostActor, report: Report) -> None:
    """An `envforge.yml` in a working tree is another one now: it is read, and proposed (W2)."""
    told = report.body
    assert isinstance(told, ContractChanged)  # noqa: S101 - as above
    workspace = Workspace.objects.filter(id=told.workspace_id, wanted=Presence.PRESENT).first()
    if workspace is not None:
        read_contracts(workspace, actor.host_id, key=f"read/{report.id}", cause="changed")


def read_contracts(workspace: Workspace, host_id: UUID, *, key: str, cause: str) -> None:
    """Ask a VM that has the workspace's files how its trees lie; nothing here is locked."""
    files = files_of(org_id=workspace.org_id, workspace_id=workspace.id)
    names = Repository.objects.filter(project_id=workspace.project_id, removed_at=None)
    directories = tuple(names.order_by("name").values_list("name", flat=True))
    if files is not None and files.ready and directories:
        queue.want(
            host_id=host_id,
            payload=ReadContract(workspace=on_vm(workspace, files), directories=directories),
            key=key,
            cause=cause,
            expires_in=READS_WITHIN,
        )
