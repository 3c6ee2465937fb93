"""Asking VMs to do something: commands wait here until their VM leases them (`hosts.leases`).

`want` belongs into the transaction that causes it; the VM's waiting poll is woken when that commits. A wake may be lost
(a re-check some seconds later finds the command), a command may not.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from envforge import tenancy
from envforge_protocol.host.commands import EndShell, Failure, Outcome, Payload, RunCommand
from hosts import hooks
from hosts.hooks import CommandRef, Finished
from hosts.models import Host, HostCommand

CHANNEL = "envforge_host_commands"
ATTEMPTS = 5
EXPIRES_IN = timedelta(days=1)
# Long enough for the same key to be asked for again by a late reconciler, and answered with what was done.
KEPT = timedelta(days=7)
# At most one command of a lane is leased at a time. What lets people in or out never waits for work on files or services.
LANES = {
    "prepare_shell": "work",
    "read_contract": "work",
    "start_runtime": "work",
    "stop_runtime": "work",
    "remove_workspace": "work",
    "authorize_shell": "access",
    "end_shell": "access",
    "grant_root": "access",
    "drop_root": "access",
    "run_command": "",
    "end_run": "",
}

PAYLOAD: TypeAdapter[Payload] = TypeAdapter(Payload)
OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)


def want(
    *,
    host_id: UUID,
    payload: Payload,
    key: str,
    cause: str,
    after: timedelta = timedelta(0),
    expires_in: timedelta = EXPIRES_IN,
    most_attempts: int = ATTEMPTS,
) -> UUID:
    """Ask the present generation of a VM of the entered organization to do something.

    Of one workspace's commands in one lane, the order of the calls is kept if whoever calls holds a lock on the
    workspace meanwhile.

    Args:
        host_id: the VM.
        payload: what to do, without credentials: those are put in when it is leased (`hooks.on_lease`).
        key: the same key again for the same generation of the VM is the same command, finished or not.
        cause: a word, as in the audit.
        after: how long it must not be leased yet.
        expires_in: when it is given up if nobody finished it.
        most_attempts: how often it is leased at most.

    Returns:
        The command's id.

    Raises:
        TenancyError: outside of an organization.
        Host.DoesNotExist: the entered organization has no such VM.
        ValueError: the payload carries a credential (K2).
    """
    _refuse_credentials(payload)
    generation = Host.objects.values_list("generation", flat=True).get(
        id=host_id, org_id=tenancy.current_org()
    )
    now = timezone.now()
    workspace_id = _workspace_of(payload)
    lane = LANES[payload.kind]
    command = HostCommand(
        org_id=tenancy.current_org(),
        host_id=host_id,
        generation=generation,
        key=key,
        workspace_id=workspace_id,
        kind=payload.kind,
        lane=f"{workspace_id}/{lane}" if lane else "",
        position=_next_position(),
        payload=payload.model_dump(mode="json"),
        cause=cause,
        created_at=now,
        not_before=now + after,
        expires_at=now + after + expires_in,
        due_at=now + after + expires_in,
        most_attempts=most_attempts,
    )
    HostCommand.objects.bulk_create([command], ignore_conflicts=True)
    # Of a key that was asked for before, the command that is there.
    same = HostCommand.objects.filter(host_id=host_id, generation=generation, key=key)
    found = same.values_list("id", flat=True).get()
    if found == command.id:
        wake(host_id)
    return found


def withdraw(*, host_id: UUID, key: str, cause: str, begun: bool = True) -> bool:
    """Take back the command of this key, if it is not over: no VM begins it any more, and whoever does it is told 409.

    Args:
        begun: take it back even if a VM was given it already.
    """
    found = HostCommand.objects.select_for_update().filter(host_id=host_id, key=key, finished_at=None)
    if not begun:
        found = found.filter(attempts=0)
    withdrawn = [
        give_up(one, "withdrawn", f"It was taken back before it was done: {cause}.") for one in found
    ]
    return bool(withdrawn)


def asked(*, host_id: UUID, generation: int, key: str) -> Payload | None:
    """What this generation of a VM was asked by this key, without credentials; None where that is not known (any more)."""
    found = HostCommand.objects.filter(host_id=host_id, generation=generation, key=key).first()
    return payload_of(found) if found is not None else None


def forget_words(command_id: UUID) -> None:
    """Forget what words a finished `run_command` was, since they may hold more than a name."""
    command = HostCommand.objects.select_for_update().get(id=command_id)
    payload = payload_of(command)
    if isinstance(payload, RunCommand):
        command.payload = payload.model_copy(update={"command": ()}).model_dump(mode="json")
        command.save(update_fields=["payload"])


def withdraw_all(*, host_id: UUID, word: str, sentence: str) -> int:
    """Give up every open command of a VM, in the transaction that replaces or ends it; answers how many those were."""
    found = (
        HostCommand.objects.select_for_update().filter(host_id=host_id, finished_at=None).order_by("position")
    )
    return len([give_up(one, word, sentence) for one in found])


def wake(host_id: UUID) -> None:
    """Let a waiting poll of this VM look again once the transaction has committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(host_id)])


def give_up(command: HostCommand, word: str, sentence: str) -> HostCommand:
    """Finish a locked command with a failure that no VM reported."""
    return finish(command, outcome=None, failure=Failure(word=word, sentence=sentence, again=True))


def finish(command: HostCommand, *, outcome: Outcome | None, failure: Failure | None) -> HostCommand:
    """Record how a locked command ended, and tell whoever registered for its kind; all in the caller's transaction."""
    now = timezone.now()
    command.finished_at = now
    command.outcome = None if outcome is None else outcome.model_dump(mode="json")
    command.failure = None if failure is None else failure.model_dump(mode="json")
    command.leased_until = None
    command.due_at = now + KEPT
    command.save(update_fields=["finished_at", "outcome", "failure", "leased_until", "due_at"])
    hooks.finished(
        Finished(
            command=ref(command),
            payload=payload_of(command),
            outcome=outcome,
            failure=failure,
            attempts=command.attempts,
        )
    )
    if command.lane:
        # The next of its lane may go now.
        wake(command.host_id)
    return command


def payload_of(command: HostCommand) -> Payload | None:
    """What is asked; None where an earlier version wrote it in words this one does not know."""
    try:
        return PAYLOAD.validate_python(command.payload)
    except ValidationError:
        return None


def ref(command: HostCommand) -> CommandRef:
    return CommandRef(
        id=command.id,
        org_id=command.org_id,
        host_id=command.host_id,
        generation=command.generation,
        workspace_id=command.workspace_id,
        kind=command.kind,
        key=command.key,
        cause=command.cause,
        created_at=command.created_at,
    )


def due_at(command: HostCommand, leased_until: datetime) -> datetime:
    """When a leased command is to be given up: at its end, or when its last lease runs out."""
    if command.attempts < command.most_attempts:
        return max(command.expires_at, leased_until)
    return leased_until


def _next_position() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('hosts_command_position')")
        position: int = cursor.fetchone()[0]
    return position


def _workspace_of(payload: Payload) -> UUID:
    return payload.workspace_id if isinstance(payload, EndShell) else payload.workspace.id


def _refuse_credentials(payload: Payload) -> None:
    for where in _credentials(payload, payload.kind):
        raise ValueError(f"{where} holds a credential; the queue keeps none (K2). Register `hooks.on_lease`.")


def _credentials(value: object, where: str) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield where
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _credentials(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, tuple):
        for one in value:
            yield from _credentials(one, where)
