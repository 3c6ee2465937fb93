"""Running commands through the runtime boundary, and cancelling them (W6, W9)."""

from collections.abc import Sequence
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, Invalid, NotVisible
from envforge.nudge import nudge
from envforge_protocol.contract import Contract
from envforge_protocol.host.commands import EndRun, RunCommand
from hosts import queue
from hosts.models import HostCommand
from orgs.policy import Action
from workspaces import activity, runs, tasks
from workspaces.command_names import name_of
from workspaces.contracts import chosen
from workspaces.locks import locked_runtime, locked_workspace
from workspaces.models import CommandRun, CommandType, Presence, Workspace
from workspaces.wants import want_awake

DEFAULT_TIMEOUT_S = 1800
TIMEOUT_S = range(1, 6 * 3600 + 1)
MOST_OPEN = 20
MOST_WORDS = 100
LONGEST_COMMAND = 16 * 1024


def run_command(
    *,
    actor: Actor,
    org_id: UUID,
    workspace_id: UUID,
    service: str,
    type: CommandType | str,  # noqa: A002 - what it is called everywhere
    name: str = "",
    argv: Sequence[str] = (),
    timeout_s: int | None = None,
) -> CommandRun:
    """Ask for a command beside a service, with its environment; a sleeping runtime wakes for it (W6).

    Args:
        type: TEST and SERVICE are named in the service's contract; AGENT is one that somebody wrote.
        name: the contract's name for it.
        argv: the words of one that somebody wrote; no shell reads them.
        timeout_s: of one that somebody wrote; the contract's have their own.

    Returns:
        Its receipt, which fills while the command runs.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: no such service or command, or words that cannot be run; with the field.
        Conflict: the workspace is archived, or too much runs in it already.
        CapReached: it would have to wake, and a usage cap is at "stop".
    """
    type = CommandType(type)  # noqa: A001 - as above
    words = _words(type, argv, timeout_s)
    with tenancy.enter(org_id):
        runtime = locked_runtime(actor, Action.COMMAND_RUN, workspace_id)
        workspace = runtime.workspace
        if workspace.wanted != Presence.PRESENT:
            raise Conflict("This workspace is archived. Restore it to run commands in it.")
        contracts = {one.contract.service.name: one.contract for one in chosen(workspace).contracts}
        given_s = _time_of(contracts, service, type, name) or timeout_s or DEFAULT_TIMEOUT_S
        if CommandRun.objects.filter(workspace=workspace, finished_at=None).count() >= MOST_OPEN:
            raise Conflict(f"{MOST_OPEN} commands run or wait here already. Let some end, or cancel them.")
        now = timezone.now()
        named = name if type != CommandType.AGENT else name_of(words)
        cause = runs.cause_of(actor, type)
        run = CommandRun.objects.create(
            workspace=workspace,
            service=service,
            type=type,
            name=named,
            asked_by=actor.label[:200],
            asker_kind=actor.kind,
            asker_id=actor.id,
            asked_at=now,
            argv=list(words) or None,
            timeout_s=given_s,
            due_at=now,
        )
        if not want_awake(runtime, actor=actor, cause=cause, detail=f"{service}: {named}"):
            activity.note(runtime, at=now, cause=cause)
        nudge(tasks.reconcile_run, org_id, run.id)
        return run


def cancel_run(*, actor: Actor, org_id: UUID, workspace_id: UUID, run_id: UUID) -> CommandRun:
    """Cancel a command: one that waits is not run, one that runs is ended on its VM, which tells so. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        workspace = locked_workspace(actor, Action.COMMAND_RUN, workspace_id)
        run = CommandRun.objects.filter(id=run_id, workspace=workspace).first()
        if run is None:
            raise NotVisible
        if run.finished_at is not None or run.cancelled_by:
            return run
        if run.sent_at is None:
            # The workspace is locked, so that nobody sends it meanwhile.
            run.cancelled_by = actor.label[:200]
            _tell_cancelled(run, workspace, actor)
            runs.give_up(run, f"{actor.label} cancelled it before it ran.")
            return run
        _end_on_vm(run, workspace, actor)
        run.refresh_from_db()
        return run


def _tell_cancelled(run: CommandRun, workspace: Workspace, actor: Actor) -> None:
    append(EventKind.COMMAND_CANCELLED, actor=actor, target=workspace, command=run.name, type=run.type)


def _end_on_vm(run: CommandRun, workspace: Workspace, actor: Actor) -> None:
    # The VM's command before the receipt, as whoever records its end locks them.
    asked = HostCommand.objects.select_for_update().filter(id__in=[run.host_command_id]).first()
    if asked is None or asked.finished_at is not None:
        return
    CommandRun.objects.filter(id=run.id).update(cancelled_by=actor.label[:200])
    _tell_cancelled(run, workspace, actor)
    if queue.withdraw(host_id=asked.host_id, key=asked.key, cause="it was cancelled", begun=False):
        return
    payload = queue.payload_of(asked)
    if isinstance(payload, RunCommand):
        queue.want(
            host_id=asked.host_id,
            payload=EndRun(workspace=payload.workspace, command_id=asked.id),
            key=f"end-run/{run.id}",
            cause="cancelled",
        )


def _time_of(contracts: dict[str, Contract], service: str, type: CommandType, name: str) -> int:  # noqa: A002
    """The contract's time for it; 0 for a command that somebody wrote."""
    contract = contracts.get(service)
    if contract is None:
        there = f"There is {', '.join(sorted(contracts))}." if contracts else "No contract is approved yet."
        raise Invalid("There is no such service.", {"service": there})
    if type == CommandType.AGENT:
        return 0
    known = contract.tests if type == CommandType.TEST else contract.commands
    if name not in known:
        what = "test" if type == CommandType.TEST else "command"
        there = f"There is {', '.join(known)}." if known else f"Its contract names no {what}s."
        raise Invalid(f"{service} has no {what} of that name.", {"name": there})
    return known[name].timeout_s


def _words(type: CommandType, argv: Sequence[str], timeout_s: int | None) -> tuple[str, ...]:  # noqa: A002
    if type == CommandType.SETUP:
        raise Invalid("Setup runs at each wake by itself.", {"type": "Choose test, service or agent."})
    if type != CommandType.AGENT:
        if argv or timeout_s is not None:
            raise Invalid("The contract says what runs.", {"argv": "Leave it out, or choose agent."})
        return ()
    words = tuple(argv)
    if not words or not words[0] or any("\0" in word for word in words):
        raise Invalid("A command has words.", {"argv": "Give at least one word, and no NUL."})
    if len(words) > MOST_WORDS or sum(len(word.encode()) for word in words) > LONGEST_COMMAND:
        raise Invalid(
            "This command is too long.",
            {"argv": f"Give at most {MOST_WORDS} words and {LONGEST_COMMAND // 1024} KiB."},
        )
    if timeout_s is not None and timeout_s not in TIMEOUT_S:
        raise Invalid("This time cannot be used.", {"timeout_s": "Choose from a second to six hours."})
    return words
