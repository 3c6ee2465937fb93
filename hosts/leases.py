"""A VM and its commands: leased for a while, extended while it works, finished once.

Delivery is at least once. A lease that runs out is given again, to the same VM; who held the old one is told so.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

import structlog
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from envforge import tenancy
from envforge.actor import HostActor
from envforge.errors import EnvForgeError, Invalid, NotVisible
from envforge_protocol.host.commands import MOST_AT_ONCE, Extended, Failure, Leased, Payload, Progress, Result
from hosts import hooks, queue, tokens, volumes, walls
from hosts.errors import LeaseLost
from hosts.hooks import CannotFill, CommandRef
from hosts.models import Host, HostCommand
from hosts.walls import LETTING_IN

LEASE_S = 30
# A command whose credentials cannot be had at the moment is leased again after this.
FILL_AGAIN_AFTER = timedelta(seconds=5)
# Commands of a VM that one poll gives up; the next poll and the sweep go on.
MOST_GIVEN_UP = 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A leased command before its credentials are put in."""

    command: CommandRef
    payload: Payload
    lease: UUID
    attempt: int


def lease(held: str) -> list[Taken]:
    """Lease what the VM with this token can do now: the first of each lane, at most `MOST_AT_ONCE`.

    Raises:
        NotRecognised: the token does not work.
    """
    with tokens.speaking(held) as actor:
        # Most polls find nothing: that must cost little.
        now = timezone.now()
        there = HostCommand.objects.filter(host_id=actor.host_id, finished_at=None)
        open_ones = list(there.order_by("position").values_list("id", "due_at", "generation"))
        if not open_ones:
            return []
        hopeless = [
            command_id
            for command_id, due_at, generation in open_ones
            if due_at <= now or generation < actor.generation
        ][:MOST_GIVEN_UP]
        if not hopeless:
            return _take_free(actor)
    for command_id in hopeless:
        give_up(actor.org_id, command_id)
    with tokens.speaking(held) as actor:
        return _take_free(actor)


def _take_free(actor: HostActor) -> list[Taken]:
    now = timezone.now()
    earlier = HostCommand.objects.filter(
        host=OuterRef("host"), lane=OuterRef("lane"), position__lt=OuterRef("position"), finished_at=None
    )
    missing, instance_id = Host.objects.values_list("missing_walls", "instance_id").get(id=actor.host_id)
    held_back = () if walls.may_let_in(missing) else LETTING_IN
    free = (
        HostCommand.objects.select_for_update(skip_locked=True)
        .filter(
            Q(leased_until=None) | Q(leased_until__lte=now),
            Q(lane="") | ~Exists(earlier),
            host_id=actor.host_id,
            generation=actor.generation,
            finished_at=None,
            not_before__lte=now,
            due_at__gt=now,
        )
        .exclude(kind__in=held_back)
        # Managed data first: nothing starts before its volume is attached.
        .exclude(Q(kind=volumes.USES) & Exists(volumes.waits(OuterRef("workspace_id"), instance_id)))
        .order_by("position")[:MOST_AT_ONCE]
    )
    return [taken for one in free if (taken := _take(one, instance_id)) is not None]


def _take(command: HostCommand, instance_id: str) -> Taken | None:
    payload = queue.payload_of(command)
    now = timezone.now()
    if payload is None:
        log.warning("host.command.unreadable", command=str(command.id), kind=command.kind)
        # The next poll or the sweep gives it up, in a transaction of its own.
        command.due_at = now
        command.save(update_fields=["due_at"])
        return None
    command.attempts += 1
    command.lease = uuid4()
    command.leased_until = now + timedelta(seconds=LEASE_S)
    command.due_at = queue.due_at(command, command.leased_until)
    command.save(update_fields=["attempts", "lease", "leased_until", "due_at"])
    payload = volumes.leased(command, payload, instance_id)
    return Taken(queue.ref(command), payload, command.lease, command.attempts)


def _hopeless() -> Q:
    return Q(Q(due_at__lte=timezone.now()) | Q(generation__lt=F("host__generation")), finished_at=None)


def give_up(org_id: UUID, command_id: UUID) -> bool:
    """Finish a command that is overdue, or whose VM was replaced, with words for it; answers whether it was finished.

    Who hears of it locks the command's workspace: so each in a transaction of its own, which holds one workspace. Where
    hearing of it fails, it stays as it was for the sweep, and keeps nothing else of the VM.
    """
    try:
        with tenancy.enter(org_id):
            rows = HostCommand.objects.select_for_update(skip_locked=True, of=("self",))
            command = rows.select_related("host").filter(_hopeless(), id=command_id).first()
            if command is None:
                return False
            _give_up(command)
    except Exception as error:  # noqa: BLE001 - of an app above
        log.error("host.command.not_given_up", command=str(command_id), error=type(error).__name__)  # noqa: TRY400
        return False
    return True


def _give_up(command: HostCommand) -> None:
    if command.generation < command.host.generation:
        queue.give_up(command, "host_replaced", "The VM was replaced before this was done.")
    elif queue.payload_of(command) is None:
        queue.give_up(
            command, "unreadable", "This was asked for in another version's words; it is asked for again."
        )
    elif command.attempts >= command.most_attempts:
        times = f"{command.attempts} times" if command.attempts > 1 else "once"
        queue.give_up(command, "lease_lost", f"The VM began this {times} and never said how it ended.")
    else:
        queue.give_up(command, "expired", "The VM did not do this in time.")


def fill(taken: Taken) -> Leased | None:
    """Put the credentials in, outside of any transaction (K2). None: not now, or never, and that is recorded."""
    try:
        payload = hooks.fill(taken.command, taken.payload)
    except CannotFill as never:
        _refuse(taken, never)
        return None
    except EnvForgeError as error:
        log.warning("host.command.not_filled", command=str(taken.command.id), reason=type(error).__name__)
        give_back(taken, after=FILL_AGAIN_AFTER)
        return None
    except Exception as error:  # noqa: BLE001 - a filler of an app above; its message may hold what it was given
        log.error("host.command.filler_broke", command=str(taken.command.id), error=type(error).__name__)  # noqa: TRY400
        give_back(taken, after=FILL_AGAIN_AFTER, counts=True)
        return None
    return Leased(
        id=taken.command.id, lease=taken.lease, lease_for_s=LEASE_S, attempt=taken.attempt, payload=payload
    )


def give_back(taken: Taken, *, after: timedelta = timedelta(0), counts: bool = False) -> None:
    """End a lease that never reached the VM; unless it `counts`, as if it had not been."""
    with tenancy.enter(taken.command.org_id):
        command = _locked(taken.command.host_id, taken.command.id)
        if command is None or command.finished_at or command.lease != taken.lease:
            return
        command.attempts -= 0 if counts else 1
        command.lease = command.leased_until = None
        command.not_before = timezone.now() + after
        command.due_at = command.expires_at if command.attempts < command.most_attempts else timezone.now()
        command.save(update_fields=["attempts", "lease", "leased_until", "not_before", "due_at"])
        if not after:
            queue.wake(command.host_id)


def _refuse(taken: Taken, never: CannotFill) -> None:
    with tenancy.enter(taken.command.org_id):
        command = _locked(taken.command.host_id, taken.command.id)
        if command is not None and command.finished_at is None and command.lease == taken.lease:
            queue.finish(
                command, outcome=None, failure=Failure(word=never.word, sentence=never.detail, again=False)
            )


def extend(held: str, command_id: UUID, progress: Progress) -> Extended:
    """Hold a lease for longer.

    Raises:
        NotRecognised, NotVisible: the token does not work; the VM has no such command.
        LeaseLost: the command is over, or was leased again.
    """
    with tokens.speaking(held) as actor:
        command = _own(actor, command_id)
        if command.finished_at or command.lease != progress.lease:
            raise LeaseLost
        command.leased_until = timezone.now() + timedelta(seconds=LEASE_S)
        command.due_at = queue.due_at(command, command.leased_until)
        command.step = progress.step
        command.save(update_fields=["leased_until", "due_at", "step"])
    return Extended(lease_for_s=LEASE_S)


def record(held: str, command_id: UUID, result: Result) -> None:
    """Record how a command ended, once; the same again changes nothing.

    Raises:
        NotRecognised, NotVisible: the token does not work; the VM has no such command.
        LeaseLost: it was leased again, or is over with another result.
        Invalid: the outcome is one of another kind of command.
    """
    with tokens.speaking(held) as actor:
        command = _own(actor, command_id)
        if result.outcome is not None and result.outcome.kind != command.kind:
            raise Invalid(f"A {command.kind} cannot end with the outcome of a {result.outcome.kind}.")
        if command.finished_at:
            if not _same(command, result):
                raise LeaseLost
            return
        if command.lease != result.lease:
            raise LeaseLost
        queue.finish(command, outcome=result.outcome, failure=result.failure)


def _same(command: HostCommand, result: Result) -> bool:
    outcome = None if result.outcome is None else result.outcome.model_dump(mode="json")
    failure = None if result.failure is None else result.failure.model_dump(mode="json")
    return bool(command.outcome == outcome and command.failure == failure)


def _own(actor: HostActor, command_id: UUID) -> HostCommand:
    """The VM's own command, locked; another's looks like none (I5)."""
    command = _locked(actor.host_id, command_id)
    if command is None or command.generation != actor.generation:
        raise NotVisible
    return command


def _locked(host_id: UUID, command_id: UUID) -> HostCommand | None:
    return HostCommand.objects.select_for_update().filter(id=command_id, host_id=host_id).first()
