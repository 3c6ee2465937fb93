"""Commands: sent when their runtime is awake, ended when it is no longer, and their output forgotten in time (W9).

What is locked is, of one that waits, the workspace, its runtime and then the receipt; of one that was sent, the VM's command and
then the receipt, in the order in which its end is told.
"""

from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.utils import timezone

from envforge import tenancy
from envforge_protocol.contract.types import argv
from envforge_protocol.host.commands import RunCommand, StartRuntime
from envforge_protocol.host.runtimes import Service
from envforge_protocol.host.workspaces import Workspace as WireWorkspace
from hosts import queue
from hosts.files import want_files
from hosts.models import HostCommand
from projects.contracts import contract_of
from projects.models import Proposal
from workspaces import lookups, runs
from workspaces.contracts import chosen
from workspaces.locks import runtime_in
from workspaces.manifest import build
from workspaces.models import (
    CommandOutput,
    CommandRun,
    CommandType,
    Observed,
    Power,
    RunningService,
    Runtime,
    Wake,
)
from workspaces.wire import on_vm

# A runtime that wakes says so itself; this is for what it says getting lost.
LOOK_AGAIN = timedelta(seconds=10)
LOOK_AT_RUNNING = timedelta(seconds=60)
# A VM that never tells how a command ended is not waited for longer than this past its time.
ENDS_WITHIN = timedelta(minutes=5)
OUTPUT_LIMIT_BYTES = 1 << 20
MOST_ORGANIZATIONS = 100
MOST_RUNS = 500

log = structlog.get_logger(__name__)


def reconcile(org_id: UUID, run_id: UUID) -> int:
    """Take the step that is due for one command; answers whether there was one."""
    with tenancy.enter(org_id):
        run = CommandRun.objects.filter(id=run_id, finished_at=None).first()
        if run is None:
            return 0
        return _look_at_running(run) if run.sent_at else _send_when_awake(run)


def reconcile_all(org_id: UUID, workspace_id: UUID) -> None:
    """The same of every command of a workspace that is not over."""
    with tenancy.enter(org_id):
        found = CommandRun.objects.filter(workspace_id=workspace_id, finished_at=None).order_by("asked_at")
        ids = list(found.values_list("id", flat=True))
    for run_id in ids:
        reconcile(org_id, run_id)


def sweep_output() -> int:
    """Forget the output of commands that ended long ago; their receipts stay. Answers how many that were."""
    before = timezone.now() - settings.COMMAND_OUTPUT_RETENTION
    forgotten = 0
    for org_id in lookups.organizations_with_old_output(before, MOST_ORGANIZATIONS):
        with tenancy.enter(org_id):
            old = CommandRun.objects.filter(output_gone_at=None, finished_at__lt=before)
            ids = list(old.order_by("finished_at").values_list("id", flat=True)[:MOST_RUNS])
            CommandOutput.objects.filter(run_id__in=ids).delete()
            CommandRun.objects.filter(id__in=ids).update(output_gone_at=timezone.now())
            forgotten += len(ids)
    return forgotten


def _send_when_awake(seen: CommandRun) -> int:
    runtime = runtime_in(seen.workspace_id)
    run = CommandRun.objects.select_for_update().filter(id=seen.id, finished_at=None, sent_at=None).first()
    if runtime is None or run is None:
        return 0
    run.workspace = runtime.workspace
    if runtime.wanted == Power.ASLEEP:
        failed = runtime.observed == Observed.FAILED
        why = (
            f"The runtime did not wake: {runtime.trouble}"
            if failed
            else "The runtime was put to sleep before it ran."
        )
        runs.give_up(run, why)
        return 1
    if runtime.observed != Observed.AWAKE or runtime.host_id is None:
        run.due_at = timezone.now() + LOOK_AGAIN
        run.save(update_fields=["due_at"])
        return 0
    trouble = _send(run, runtime)
    if trouble:
        runs.give_up(run, trouble)
    return 1


def _send(run: CommandRun, runtime: Runtime) -> str:
    """Have the VM run it; or in words, why that cannot be."""
    on_it, service = _as_it_woke(runtime, run.service)
    if service is None or on_it is None:
        return f"This wake has no service {run.service}. Put the runtime to sleep, and run it again."
    words = tuple(run.argv) if run.argv else _named(run, runtime)
    if not words:
        return f"The contract that {run.service} woke with names no such {run.type}. Put the runtime to sleep, and run it again."
    assert runtime.host_id is not None  # noqa: S101 - asked just before; for the types
    now = timezone.now()
    run.host_command_id = queue.want(
        host_id=runtime.host_id,
        payload=RunCommand(
            workspace=on_it,
            service=service.name,
            account=service.account,
            command=words,
            directory=service.directory,
            environment=service.environment,
            references=service.references,
            resources=service.resources,
            limits=service.limits,
            timeout_s=run.timeout_s,
            output_limit_bytes=OUTPUT_LIMIT_BYTES,
        ),
        key=f"run/{run.id}",
        cause=run.type,
        expires_in=timedelta(seconds=run.timeout_s) + ENDS_WITHIN,
    )
    run.argv, run.sent_at, run.epoch = None, now, runtime.epoch
    run.due_at = now + LOOK_AT_RUNNING
    run.save()
    return ""


def _as_it_woke(runtime: Runtime, name: str) -> tuple[WireWorkspace | None, Service | None]:
    """The service as the present wake runs it: environment, references, account."""
    assert runtime.host_id is not None  # noqa: S101 - as above
    wake = Wake.objects.get(runtime=runtime, epoch=runtime.epoch)
    asked = queue.asked(
        host_id=runtime.host_id,
        generation=runtime.generation,
        key=wake.start_key(runtime.workspace_id),
    )
    if isinstance(asked, StartRuntime):
        on_it, manifest = asked.workspace, asked.manifest
    else:
        # It woke so long ago that its manifest is forgotten: as it would wake now.
        built = build(runtime, chosen(runtime.workspace), runtime.host_id)
        if built.manifest is None:
            return None, None
        files = want_files(org_id=runtime.org_id, workspace_id=runtime.workspace_id)
        on_it, manifest = on_vm(runtime.workspace, files), built.manifest
    return on_it, next((one for one in manifest.services if one.name == name), None)


def _named(run: CommandRun, runtime: Runtime) -> tuple[str, ...]:
    """The words behind the contract's name, by the contract that the service woke with."""
    row = RunningService.objects.filter(runtime=runtime, name=run.service).first()
    proposal = Proposal.objects.filter(id=row.proposal_id).first() if row else None
    if proposal is None:
        return ()
    contract = contract_of(proposal)
    known = contract.tests if run.type == CommandType.TEST else contract.commands
    found = known.get(run.name)
    return argv(found.command) if found else ()


def _look_at_running(run: CommandRun) -> int:
    """One whose runtime sleeps, or is not the one it was sent to any more, ends."""
    runtime = Runtime.objects.get(workspace_id=run.workspace_id)
    goes_on = (runtime.wanted, runtime.observed, runtime.epoch) == (Power.AWAKE, Observed.AWAKE, run.epoch)
    if goes_on:
        CommandRun.objects.filter(id=run.id, finished_at=None).update(due_at=timezone.now() + LOOK_AT_RUNNING)
        return 0
    asked = HostCommand.objects.filter(id__in=[run.host_command_id]).first()
    if asked is not None and asked.finished_at is None:
        return int(queue.withdraw(host_id=asked.host_id, key=asked.key, cause="the runtime fell asleep"))
    # What was asked of the VM is forgotten, and with it how it ended.
    left = CommandRun.objects.select_for_update().filter(id=run.id, finished_at=None).first()
    if left is not None:
        runs.give_up(left, runs.SENTENCES["lease_lost"])
    return 1
