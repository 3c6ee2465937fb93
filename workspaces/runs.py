"""What VMs tell of commands: their output as it comes, their end, and the setup steps of a wake (W9).

Called in the transaction that records it (`hosts.hooks`). The VM's command is locked first, then its receipt; nothing here locks a workspace.
"""

from datetime import timedelta
from uuid import UUID

import structlog
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM, Actor, ServiceAccountActor
from envforge.nudge import nudge
from envforge_protocol.host.commands import CommandRan, RuntimeStarted, StartRuntime
from envforge_protocol.host.runtimes import ServiceReadiness, StepRan
from hosts import queue
from hosts.hooks import Finished, OutputPart
from workspaces import activity
from workspaces.consumed import note_consumed
from workspaces.holders import as_actor
from workspaces.models import CommandOutput, CommandRun, CommandType, Runtime, Wake, WakeCause
from workspaces.routes import RouteChange

LOST = "Its VM was lost while it ran. Run it again."
SENTENCES = {
    "host_replaced": LOST,
    "host_ended": LOST,
    "lease_lost": "Its VM never told how it ended. Run it again.",
    "expired": "Its VM did not run it in time. Run it again.",
}

log = structlog.get_logger(__name__)


def ran(ended: Finished) -> None:
    """A command is over, however that came."""
    run = _of(ended.command.id)
    queue.forget_words(ended.command.id)
    if run is None or run.finished_at is not None:
        return
    outcome = ended.outcome
    if isinstance(outcome, CommandRan):
        run.exit_status, run.duration_ms = outcome.exit_status, outcome.duration_ms
        run.timed_out, run.truncated = outcome.timed_out, outcome.truncated
        note_consumed(ended, workspace_id=run.workspace_id, service=run.service, references=outcome.consumed)
        trouble = f"It was ended after {run.timeout_s} s." if outcome.timed_out else ""
        if outcome.exit_status is None:
            trouble = trouble or "It could not be started."
        if run.cancelled_by:
            trouble = f"{run.cancelled_by} cancelled it."
    else:
        assert ended.failure is not None  # noqa: S101 - one of the two; for the types
        trouble = SENTENCES.get(ended.failure.word, ended.failure.sentence)
        if ended.failure.word == "withdrawn":
            trouble = f"{run.cancelled_by} cancelled it." if run.cancelled_by else "The runtime fell asleep."
    _finish(run, trouble)
    runtime = Runtime.objects.filter(workspace_id=run.workspace_id).first()
    # It was used up to this moment. Not so where no VM says so: whoever replaces one holds its row here, and locks no runtime.
    if runtime is not None and isinstance(outcome, CommandRan):
        activity.note(runtime, at=timezone.now(), cause=cause_of(asker_of(run), CommandType(run.type)))


def put_out(part: OutputPart) -> None:
    """A part of a command's output."""
    run = _of(part.command.id)
    if run is None or run.output_gone_at is not None:
        return
    CommandOutput.objects.create(run=run, offset=part.offset, data=part.data)
    run.output_bytes = part.offset + len(part.data)
    run.save(update_fields=["output_bytes"])


def setup_ran(ended: Finished) -> None:
    """The setup steps that a wake ran leave receipts like any command; their output stays in the workspace's logs."""
    if not isinstance(ended.outcome, RuntimeStarted) or not isinstance(ended.payload, StartRuntime):
        return
    epoch = ended.payload.manifest.epoch
    wake = Wake.objects.filter(runtime__workspace_id=ended.command.workspace_id, epoch=epoch).first()
    if wake is None:
        return
    for service in ended.outcome.readiness.services:
        for step in service.setup:
            _note_step(ended, wake, service, step)


def give_up(run: CommandRun, words: str) -> None:
    """A locked command is not run, or not heard of any more."""
    _finish(run, words)


def routes_changed(change: RouteChange) -> None:
    """A runtime is awake, so that what waits for it can run; or it is no longer, and what runs ends."""
    from workspaces import tasks  # noqa: PLC0415 - a task leads to the reconciler, which leads here

    nudge(tasks.reconcile_runs, tenancy.current_org(), change.workspace_id)


def _of(host_command_id: UUID) -> CommandRun | None:
    rows = CommandRun.objects.select_for_update(of=("self",)).select_related("workspace")
    return rows.filter(host_command_id=host_command_id).exclude(type=CommandType.SETUP).first()


def _finish(run: CommandRun, trouble: str) -> None:
    now = timezone.now()
    run.finished_at, run.trouble, run.argv, run.due_at = now, trouble[:500], None, None
    run.save()
    append(
        EventKind.COMMAND_RUN,
        actor=asker_of(run),
        target=run.workspace,
        command=run.name,
        type=run.type,
        exit_status=run.exit_status,
        duration_s=(run.duration_ms or 0) // 1000,
    )


def cause_of(actor: Actor, type: CommandType) -> WakeCause:  # noqa: A002 - the field's word
    """What a command keeps the runtime awake as."""
    if type == CommandType.TEST:
        return WakeCause.TEST
    return WakeCause.AGENT if isinstance(actor, ServiceAccountActor) else WakeCause.COMMAND


def asker_of(run: CommandRun) -> Actor:
    """Whose command it was."""
    return as_actor(kind=run.asker_kind, actor_id=run.asker_id, label=run.asked_by, org_id=run.org_id)


def _note_step(ended: Finished, wake: Wake, service: ServiceReadiness, step: StepRan) -> None:
    now = timezone.now()
    run = CommandRun(
        workspace_id=ended.command.workspace_id,
        service=service.name,
        type=CommandType.SETUP,
        name=step.name[:80],
        asked_by=wake.asked_by,
        asker_kind=SYSTEM.kind,
        asker_id=SYSTEM.id,
        asked_at=now - timedelta(milliseconds=step.duration_ms),
        epoch=wake.epoch,
        host_command_id=ended.command.id,
        sent_at=wake.started_at or now,
        exit_status=step.exit_status,
        duration_ms=step.duration_ms,
        timed_out=step.timed_out,
        output_gone_at=now,
    )
    _finish(run, "")
