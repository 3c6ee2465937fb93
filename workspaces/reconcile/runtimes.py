"""Runtimes: from wanted to observed, one step at a time (DESIGN 7)."""

from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from envforge import tenancy
from envforge.actor import SYSTEM
from envforge_protocol.host.commands import StartRuntime, StopRuntime
from hosts import queue
from hosts.files import want_files
from hosts.models import Host, HostRole, Size
from hosts.placement import SlotView, awake_slot, deactivate_slot, slot_of
from hosts.words import says
from workspaces import ends, routes, trees
from workspaces.contracts import Contracts, chosen
from workspaces.locks import runtime_in
from workspaces.manifest import Built, build, patience_s
from workspaces.models import (
    Observed,
    Power,
    RunningService,
    Runtime,
    Shell,
    ShellState,
    Wake,
)
from workspaces.reconcile import shells
from workspaces.wire import on_vm

SOON = timedelta(seconds=2)
HOLD = timedelta(seconds=1)
# Of a VM or shell that is coming up: they tell when they are there; this is for what they tell getting lost.
LOOK_AGAIN = timedelta(seconds=20)
# A wake that has no VM with a shell's files by then has failed; asked for anew it tries anew.
COMES_UP_WITHIN = timedelta(minutes=30)
# A shell that could not be prepared this often in a row is not waited for: with its backoff that is about a minute.
SHELL_TRIES = 3
STOPS_WITHIN = timedelta(minutes=5)
STEPS_AT_ONCE = 6


def reconcile(org_id: UUID, runtime_id: UUID) -> int:
    """Take the steps that are due; answers how many."""
    taken = 0
    while taken < STEPS_AT_ONCE and _step(org_id, runtime_id):
        taken += 1
    return taken


def stop_at_once(org_id: UUID, workspace_id: UUID) -> int:
    """Look again at a runtime that waits for nobody to be led there any more; answers how many steps that took."""
    with tenancy.enter(org_id):
        # One whose VM was asked already waits for that, and not for gateways.
        waiting = Runtime.objects.filter(
            workspace_id=workspace_id, observed=Observed.STOPPING, attempts=0, due_at__isnull=False
        )
        found = waiting.select_for_update().first()
        if found is None:
            return 0
        found.due_at = timezone.now()
        found.save(update_fields=["due_at"])
    return reconcile(org_id, found.id)


def _step(org_id: UUID, runtime_id: UUID) -> bool:
    with tenancy.enter(org_id):
        found = Runtime.objects.filter(id=runtime_id).first()
        if found is None:
            return False
        _take_back_start(found)
        runtime = runtime_in(found.workspace_id)
        now = timezone.now()
        if runtime is None or runtime.due_at is None or runtime.due_at > now:
            return False
        before = runtime.observed
        match runtime.observed, runtime.wanted:
            case Observed.ASLEEP | Observed.FAILED, Power.ASLEEP:
                _let_vm_go(runtime)
            case Observed.ASLEEP | Observed.FAILED, Power.AWAKE:
                runtime.observed, runtime.observed_at = Observed.WAKING, now
                runtime.due_at = now
            case Observed.WAKING, Power.AWAKE:
                _wake(runtime, now)
            case Observed.WAKING, Power.ASLEEP:
                ends.fell_asleep(runtime, at=now)
                runtime.due_at = now
            case Observed.STOPPING, _:
                _stop(runtime, now)
            case Observed.AWAKE, Power.AWAKE:
                trees.look_again(runtime)
                runtime.due_at = None
            case _:
                runtime.due_at = None
        runtime.version += 1
        runtime.save()
        return runtime.observed != before and runtime.due_at is not None


def _take_back_start(row: Runtime) -> None:
    """A start that is wanted no more is taken back, so that the stop need not wait for its end. Before the row is locked:
    whoever records a command's end holds the command and then locks the row.
    """
    if (row.wanted, row.observed) == (Power.ASLEEP, Observed.STOPPING) and row.host_id is not None:
        started = Wake.objects.get(runtime=row, epoch=_running_epoch(row))
        queue.withdraw(host_id=row.host_id, key=started.start_key(row.workspace_id), cause="it is to sleep")


def _wake(runtime: Runtime, now: datetime) -> None:
    """Find it a VM, wait until that and the shell's files are there, and have the services started."""
    wake = Wake.objects.get(runtime=runtime, epoch=runtime.epoch)
    slot = _slot(runtime)
    runtime.slot_id = slot.id
    shell = Shell.objects.select_for_update().get(workspace=runtime.workspace)
    files = want_files(org_id=runtime.org_id, workspace_id=runtime.workspace_id)
    contracts = chosen(runtime.workspace)
    waits = ""
    tried = shell.asked_at is not None and shell.asked_at >= wake.asked_at
    if shell.observed == ShellState.FAILED and tried and shell.attempts >= SHELL_TRIES:
        _give_up(runtime, wake, now, word="shell", words=f"Its shell cannot be prepared. {shell.trouble}")
        return
    if shell.observed == ShellState.FAILED and not tried:
        # Whoever asks for a wake does not wait for the backoff of what failed before.
        shells.prepare_again(shell, now)
        waits = "Its shell and files are being prepared."
    elif shell.observed != ShellState.READY:
        waits = shell.trouble or "Its shell and files are being prepared."
    elif _lacks_trees(contracts) and (shell.asked_at is None or shell.asked_at < wake.asked_at):
        shells.prepare_again(shell, now)
        waits = "Its repositories are being checked out."
    elif not slot.ready:
        waits = says(slot.trouble) or "Its machine is coming up."
    if waits or not files.ready:
        if now - wake.asked_at > COMES_UP_WITHIN:
            _give_up(
                runtime, wake, now, word="not_ready", words=f"It did not come up in time. {waits}".strip()
            )
            return
        runtime.trouble = waits[:500]
        runtime.due_at = now + (LOOK_AGAIN if files.ready else SOON)
        return
    assert slot.host_id is not None  # noqa: S101 - a slot that is ready has a VM; for the types
    # `_slot` holds off other changes of placements: two wakes that begin at once must not be given one ingress port.
    built = build(runtime, contracts, slot.host_id)
    if built.manifest is None:
        wake.blockers = built.blockers
        wake.save(update_fields=["blockers"])
        first = built.blockers[0]
        about = f"{first['service']}: " if first["service"] else ""
        ends.failed(runtime, at=now, word=first["at"], words=about + first["reason"])
        runtime.due_at = now
        return
    manifest = built.manifest.model_copy(update={"trees": trees.as_told(contracts, wake)})
    _start(runtime, wake, built, slot, now)
    queue.want(
        host_id=slot.host_id,
        payload=StartRuntime(workspace=on_vm(runtime.workspace, files), manifest=manifest),
        key=wake.start_key(runtime.workspace_id),
        cause=wake.cause,
        expires_in=timedelta(seconds=patience_s(built.manifest)),
    )


def _give_up(runtime: Runtime, wake: Wake, now: datetime, *, word: str, words: str) -> None:
    """The wake fails before its VM was asked to start anything; its receipt says why (W10)."""
    wake.blockers = [{"service": "", "at": word, "reason": words, "exit_status": None}]
    wake.save(update_fields=["blockers"])
    ends.failed(runtime, at=now, word=word, words=words)
    runtime.due_at = now


def _slot(runtime: Runtime) -> SlotView:
    return awake_slot(
        actor=SYSTEM,
        org_id=runtime.org_id,
        workspace_id=runtime.workspace_id,
        label=runtime.workspace.branch[:120],
        role=HostRole.RUNTIME,
        size=Size(runtime.size),
    )


def _lacks_trees(contracts: Contracts) -> bool:
    repositories = {one.repository.id for one in contracts.contracts} | {one.id for one in contracts.without}
    return not repositories <= {repository for repository, tree in contracts.trees.items() if tree.commit}


def _start(runtime: Runtime, wake: Wake, built: Built, slot: SlotView, now: datetime) -> None:
    """Write down what this wake runs, and where."""
    assert slot.host_id is not None  # noqa: S101 - as above
    RunningService.objects.filter(runtime=runtime).delete()
    RunningService.objects.bulk_create(
        RunningService(
            org_id=runtime.org_id,
            runtime=runtime,
            epoch=runtime.epoch,
            name=one.contract.service.name,
            repository_id=one.repository.id,
            proposal_id=one.proposal.id,
            contract_digest=one.proposal.digest,
            kind=one.contract.service.kind,
            account=built.accounts[one.contract.service.name],
            host_id=slot.host_id,
            generation=slot.generation,
            ingress=built.ingress.get(one.contract.service.name),
            health="starting",
            since=now,
        )
        for one in built.chosen
    )
    runtime.host_id, runtime.generation = slot.host_id, slot.generation
    runtime.observed, runtime.observed_at = Observed.STARTING, now
    runtime.trouble = runtime.trouble_word = ""
    # Its end is told, however it ends.
    runtime.due_at = None
    wake.started_at = now
    wake.save(update_fields=["started_at"])


def _stop(runtime: Runtime, now: datetime) -> None:
    """Once nobody is led there any more (THREATS G2), have its VM stop the services."""
    epoch = _running_epoch(runtime)
    if not routes.are_gone(runtime, epoch):
        runtime.due_at = now + HOLD
        return
    files = want_files(org_id=runtime.org_id, workspace_id=runtime.workspace_id)
    # Not its slot's VM: a workspace that was moved still runs where it ran.
    if runtime.host_id is None or not files.ready or not _is_there(runtime.host_id, runtime.generation):
        # Its VM is gone, and with it what ran there.
        ends.stopped(runtime, at=now)
        return
    queue.want(
        host_id=runtime.host_id,
        payload=StopRuntime(workspace=on_vm(runtime.workspace, files), epoch=epoch),
        key=f"stop/{runtime.workspace_id}/{epoch}",
        cause=runtime.wanted_cause or "sleep",
        expires_in=STOPS_WITHIN,
    )
    if runtime.attempts:
        # Asked for before, and its end was not told within that time: it is not known to run.
        ends.stopped(runtime, at=now)
        return
    runtime.attempts = 1
    runtime.due_at = now + 2 * STOPS_WITHIN


def _is_there(host_id: UUID, generation: int) -> bool:
    return Host.objects.filter(id=host_id, generation=generation, ended_at=None).exists()


def _running_epoch(runtime: Runtime) -> int:
    """The epoch of the services that its VM was asked to run last."""
    found = RunningService.objects.filter(runtime=runtime).values_list("epoch", flat=True).first()
    return found if found is not None else runtime.epoch


def _let_vm_go(runtime: Runtime) -> None:
    """Asleep or failed: its room is free, and whatever a failed wake left running is stopped."""
    runtime.due_at = None
    slot = slot_of(org_id=runtime.org_id, workspace_id=runtime.workspace_id, role=HostRole.RUNTIME)
    if runtime.observed == Observed.FAILED and not _stop_failed(runtime, slot):
        ends.nothing_is_left(runtime)
    if slot is not None and slot.active:
        deactivate_slot(actor=SYSTEM, org_id=runtime.org_id, slot_id=slot.id)


def _stop_failed(runtime: Runtime, slot: SlotView | None) -> bool:
    """Whether the VM of a failed wake is asked to stop what it left running there."""
    if slot is None or runtime.host_id is None or slot.host_id != runtime.host_id:
        return False
    files = want_files(org_id=runtime.org_id, workspace_id=runtime.workspace_id)
    if not files.ready or not _is_there(runtime.host_id, runtime.generation):
        return False
    epoch = _running_epoch(runtime)
    queue.want(
        host_id=runtime.host_id,
        payload=StopRuntime(workspace=on_vm(runtime.workspace, files), epoch=epoch),
        key=f"stop/{runtime.workspace_id}/{epoch}",
        cause="failed",
        expires_in=STOPS_WITHIN,
    )
    return True
