"""What VMs answer about shells and runtimes: written down in the transaction that records it (`hosts.hooks`).

Here no VM's row is locked, nor anything asked of one: whoever replaces a VM holds its row, ends its commands and comes here.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import SYSTEM
from envforge.errors import EnvForgeError
from envforge.nudge import nudge
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.commands import ContractRead, RuntimeStarted, ShellPrepared
from envforge_protocol.host.runtimes import Health, Readiness
from hosts.hooks import Finished
from projects.models import Repository
from projects.operations.contracts import propose_contract
from workspaces import activity, ends, meter, routes, trees
from workspaces.consumed import note_consumed
from workspaces.locks import runtime_in
from workspaces.managed import note_data
from workspaces.models import (
    Checkout,
    Observed,
    Power,
    RunningService,
    Runtime,
    Shell,
    ShellState,
    Wake,
    WakeCause,
    Workspace,
)
from workspaces.reconcile import shells
from workspaces.wants import touch

# Nobody's fault and no news here: what became of the VM is told apart (`workspaces.news`), and who took a command back knows.
ELSEWHERE = frozenset({"host_replaced", "host_ended", "withdrawn"})

log = structlog.get_logger(__name__)


def shell_prepared(ended: Finished) -> None:
    """A shell is open, or is not; either way the trees that lie there are known now."""
    if ended.failure is not None and ended.failure.word in ELSEWHERE:
        return
    if isinstance(ended.outcome, ShellPrepared):
        _propose(ended.command.workspace_id, ended.outcome.checkouts)
    workspace = Workspace.objects.select_for_update().filter(id=ended.command.workspace_id).first()
    if workspace is None:
        return
    shell = Shell.objects.select_for_update().get(workspace=workspace)
    if ended.command.key != f"shell/{workspace.id}/{shell.turn}" or shell.observed != ShellState.PREPARING:
        return
    now = timezone.now()
    if isinstance(ended.outcome, ShellPrepared):
        _note_trees(workspace, ended.outcome.checkouts)
        _note_branch(workspace, ended.outcome.checkouts, now)
        if shell.host_key != ended.outcome.host_key:
            # Another VM's; one that was only looked at is no news.
            append(EventKind.SHELL_READY, actor=SYSTEM, target=workspace)
        shell.ssh_port, shell.host_key = ended.outcome.ssh_port, ended.outcome.host_key
        shell.observed, shell.observed_at, shell.trouble = ShellState.READY, now, ""
        shell.attempts = 0
        # Once more at once if it was asked for anew meanwhile.
        shell.due_at = now if shell.asked_at is None else now + shells.LOOKED_AT_EVERY
    else:
        assert ended.failure is not None  # noqa: S101 - one of the two; for the types
        shell.observed, shell.observed_at = ShellState.FAILED, now
        shell.trouble = ended.failure.sentence[:500]
        shell.attempts += 1
        shell.due_at = now + shells.backoff(shell.attempts)
    shell.version += 1
    shell.save()
    _look_at_waking(workspace)


def contract_read(ended: Finished) -> None:
    """Trees were looked at again."""
    if not isinstance(ended.outcome, ContractRead):
        # Whoever replaces a VM holds its row here, and whoever holds a workspace may want that row.
        return
    _propose(ended.command.workspace_id, ended.outcome.checkouts)
    workspace = Workspace.objects.select_for_update().filter(id=ended.command.workspace_id).first()
    if workspace is not None:
        _note_trees(workspace, ended.outcome.checkouts)
        _look_at_waking(workspace)


def runtime_started(ended: Finished) -> None:
    """The services are up, or are not: awake with its receipt, meter and routes in one transaction (DESIGN 7.4), or failed."""
    if ended.failure is not None and ended.failure.word in ELSEWHERE:
        return
    changed = ended.outcome.changed if isinstance(ended.outcome, RuntimeStarted) else ()
    if changed:
        _propose(ended.command.workspace_id, changed)
    runtime = runtime_in(ended.command.workspace_id)
    if runtime is None:
        return
    # Whichever VM tells it: that is how they lie.
    _note_trees(runtime.workspace, changed)
    readiness = ended.outcome.readiness if isinstance(ended.outcome, RuntimeStarted) else None
    if readiness is not None:
        _note_consumed(runtime, ended, readiness)
        note_data(runtime.workspace, readiness.resources)
    wake = Wake.objects.get(runtime=runtime, epoch=runtime.epoch)
    if (
        not _is_where_it_runs(ended, runtime)
        or ended.command.key != wake.start_key(runtime.workspace_id)
        or runtime.observed != Observed.STARTING
        or runtime.wanted != Power.AWAKE
    ):
        return
    now = timezone.now()
    if changed:
        # Nothing of it runs. The same wake goes on, with what these trees say.
        wake.trees_changed += 1
        wake.save(update_fields=["trees_changed"])
        ends.begins_anew(runtime, at=now)
        runtime.save()
        return
    if readiness is None:
        assert ended.failure is not None  # noqa: S101 - one of the two; for the types
        wake.blockers = [_blocker("", "host", ended.failure.sentence)]
        wake.save(update_fields=["blockers"])
        ends.failed(runtime, at=now, word=ended.failure.word, words=ended.failure.sentence)
        runtime.save()
        return
    running = {row.name: row for row in RunningService.objects.filter(runtime=runtime)}
    wake.services = _services(running, readiness)
    wake.resources = {one.name: one.health.value for one in readiness.resources}
    runtime.resources = {
        one.name: {"health": one.health.value, "since": now.isoformat()} for one in readiness.resources
    }
    wake.blockers = [one.model_dump(mode="json") for one in readiness.blockers]
    not_up = _not_up(running, readiness)
    if readiness.blockers or not_up:
        wake.save(update_fields=["services", "resources", "blockers"])
        _fail(runtime, readiness, not_up, now)
        runtime.save()
        return
    wake.ready_at = now
    wake.ready_ms = max(int((now - wake.asked_at) / timedelta(milliseconds=1)), 0)
    wake.save(update_fields=["services", "resources", "blockers", "ready_at", "ready_ms"])
    _awake(runtime, wake)


def runtime_stopped(ended: Finished) -> None:
    """The services were stopped; or nobody knows, and then the VM is seen to by the fleet."""
    if ended.failure is not None and ended.failure.word in ELSEWHERE:
        return
    runtime = runtime_in(ended.command.workspace_id)
    if runtime is None or not _is_where_it_runs(ended, runtime):
        return
    epoch = RunningService.objects.filter(runtime=runtime).values_list("epoch", flat=True).first()
    if ended.command.key != f"stop/{runtime.workspace_id}/{epoch}":
        return
    if runtime.observed != Observed.STOPPING:
        # What a failed wake had left running.
        ends.nothing_is_left(runtime)
        return
    ends.stopped(runtime, at=timezone.now())
    runtime.save()


def workspace_left(ended: Finished) -> None:
    """A VM has nothing of the workspace any more, or its files are deleted (`workspaces.reconcile.removal`)."""
    if ended.outcome is None:
        # It is asked again when its time is over; no workspace is locked here, as in `contract_read`.
        return
    workspace = Workspace.objects.select_for_update().filter(id=ended.command.workspace_id).first()
    if workspace is None:
        return
    from workspaces import tasks  # noqa: PLC0415 - a task leads to the reconciler, which leads here

    now = timezone.now()
    if ended.command.key.startswith(f"remove/{workspace.id}/"):
        workspace.files_deleted_at = workspace.files_deleted_at or now
    shell = Shell.objects.select_for_update().get(workspace=workspace)
    if not shell.wanted and shell.host_id == ended.command.host_id:
        shell.observed, shell.observed_at = ShellState.ABSENT, now
        shell.save(update_fields=["observed", "observed_at"])
    workspace.version += 1
    workspace.due_at = now
    workspace.save()
    nudge(tasks.reconcile_workspace, workspace.org_id, workspace.id)


def _is_where_it_runs(ended: Finished, runtime: Runtime) -> bool:
    """A wake that lost its VM goes on elsewhere under the same epoch: what the lost VM still tells is not about it."""
    return (ended.command.host_id, ended.command.generation) == (runtime.host_id, runtime.generation)


def _awake(runtime: Runtime, wake: Wake) -> None:
    now = wake.ready_at or timezone.now()
    runtime.observed, runtime.observed_at = Observed.AWAKE, now
    runtime.trouble = runtime.trouble_word = ""
    # For what pages tell of its trees; nobody waits for it.
    runtime.due_at = now + trees.LOOKED_AT_AFTER
    for health in {one["health"] for one in wake.services}:
        names = [one["name"] for one in wake.services if one["health"] == health]
        RunningService.objects.filter(runtime=runtime, name__in=names).update(health=health, since=now)
    if wake.cause != WakeCause.RECOVERY:
        # The time it took to come up was no idleness.
        activity.begin(runtime, now, wake.cause)
    meter.open_window(runtime, wake, now)
    routes.publish(runtime)
    runtime.version += 1
    runtime.save()
    append(
        EventKind.RUNTIME_STARTED,
        actor=SYSTEM,
        target=runtime,
        services=len(wake.services),
        ready_s=(wake.ready_ms or 0) // 1000,
        size=runtime.size,
    )


def _not_up(running: dict[str, RunningService], readiness: Readiness) -> list[str]:
    """Services that are not healthy; of a job, one that has ended well is not missed."""
    return [
        one.name
        for one in readiness.services
        if one.health != Health.HEALTHY
        and not (one.name in running and running[one.name].kind == "job" and one.health == Health.STOPPED)
    ]


def _fail(runtime: Runtime, readiness: Readiness, not_up: list[str], now: datetime) -> None:
    first = readiness.blockers[0] if readiness.blockers else None
    if first is not None:
        word, words = first.at, f"{first.service}: {first.reason}"
    else:
        name = not_up[0]
        word, words = (
            "health",
            f"{name}: It did not come up. Its output is in logs/{name}.log of the workspace.",
        )
    ends.failed(runtime, at=now, word=word, words=words)


def _services(rows: dict[str, RunningService], readiness: Readiness) -> list[dict[str, object]]:
    names = dict(
        Repository.objects.filter(id__in=[row.repository_id for row in rows.values()]).values_list(
            "id", "name"
        )
    )
    return [
        {
            "name": one.name,
            "repository": names.get(rows[one.name].repository_id, ""),
            "contract_digest": one.contract_digest,
            "kind": rows[one.name].kind,
            "health": one.health.value,
            "ready_ms": one.ready_ms,
            "ports": dict(one.ingress),
        }
        for one in readiness.services
        if one.name in rows
    ]


def _blocker(service: str, at: str, reason: str) -> dict[str, object]:
    return {"service": service, "at": at, "reason": reason, "exit_status": None}


def _note_consumed(runtime: Runtime, ended: Finished, readiness: Readiness) -> None:
    for service in readiness.services:
        note_consumed(
            ended,
            workspace_id=runtime.workspace_id,
            service=service.name,
            references=service.consumed,
        )


def _repositories(workspace: Workspace) -> dict[str, Repository]:
    rows = Repository.objects.filter(project_id=workspace.project_id, removed_at=None)
    return {row.name: row for row in rows}


def _note_trees(workspace: Workspace, seen: tuple[wire.Checkout, ...]) -> None:
    repositories = _repositories(workspace) if seen else {}
    for one in seen:
        repository = repositories.get(one.directory)
        if repository is None:
            continue
        Checkout.objects.update_or_create(
            workspace=workspace,
            repository=repository,
            defaults={
                "branch": one.branch[:200],
                "commit": one.commit[:64],
                "dirty": one.dirty,
                "contract_digest": one.contract.digest if one.contract else "",
                "problem": one.problem[:500],
                "seen_at": timezone.now(),
            },
        )


def _note_branch(workspace: Workspace, seen: tuple[wire.Checkout, ...], now: datetime) -> None:
    """Remember since when the branch is in none of its repositories; what follows from that is people's decision (W12).

    Where one of them did not say, nothing is known. A branch that never was anywhere is new, and not gone.
    """
    told = [one.branch_is_there for one in seen]
    if True in told:
        if workspace.branch_gone_at is not None or workspace.branch_seen_at is None:
            workspace.branch_gone_at = None
            workspace.branch_seen_at = now
            workspace.save(update_fields=["branch_gone_at", "branch_seen_at"])
    elif told and None not in told and workspace.branch_gone_at is None and workspace.branch_seen_at:
        workspace.branch_gone_at = now
        workspace.save(update_fields=["branch_gone_at"])
        append(EventKind.WORKSPACE_BRANCH_GONE, actor=SYSTEM, target=workspace, branch=workspace.branch)


def _propose(workspace_id: UUID, seen: tuple[wire.Checkout, ...]) -> None:
    """Propose the contracts of trees, before the workspace is locked: who archives a project locks that and then its workspaces."""
    workspace = Workspace.objects.filter(id=workspace_id).first()
    repositories = _repositories(workspace) if workspace else {}
    for one in seen:
        repository = repositories.get(one.directory)
        if workspace is None or repository is None or one.contract is None:
            continue
        try:
            with transaction.atomic():
                propose_contract(
                    actor=SYSTEM,
                    org_id=workspace.org_id,
                    repository_id=repository.id,
                    branch=(one.branch or workspace.branch)[:200],
                    commit=one.commit[:64],
                    text=one.contract.text,
                    digest=one.contract.digest,
                )
        except EnvForgeError as error:
            # An archived project, or a VM that reads contracts in another version: the tree is known all the same.
            log.warning("workspaces.contract_not_proposed", repository=str(repository.id), reason=str(error))


def _look_at_waking(workspace: Workspace) -> None:
    """A wake that waits for the shell goes on."""
    runtime = Runtime.objects.select_for_update().get(workspace=workspace)
    runtime.workspace = workspace
    if runtime.observed == Observed.WAKING and runtime.wanted == Power.AWAKE:
        touch(runtime, timezone.now())
        runtime.save()
