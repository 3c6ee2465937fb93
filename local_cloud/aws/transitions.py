"""An instance's states take time, as on EC2: pending, stopping and shutting-down are seen before what they lead to.

moto's answers are instant. Here an instance that was started, stopped or ended is put into the state on the way, and
moved on when its time has come, by whichever request is first to look. Source: "Amazon EC2 instance state changes".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from local_cloud.aws import world
from local_cloud.aws.wire import RefusedError
from local_cloud.aws.world import Call

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
_ENDS = {"pending": "running", "stopping": "stopped", "shutting-down": "terminated"}
_ON_THE_WAY = {
    "RunInstances": "pending",
    "StartInstances": "pending",
    "StopInstances": "stopping",
    "TerminateInstances": "shutting-down",
}
TERMINATED_IS_SHOWN_FOR = timedelta(hours=1)


@dataclass(frozen=True)
class Delays:
    """How long an instance boots, stops and ends, in seconds."""

    boot_s: float = 0.0
    stop_s: float = 0.0
    terminate_s: float = 0.0

    def of(self, state: str) -> timedelta:
        by_state = {"pending": self.boot_s, "stopping": self.stop_s, "shutting-down": self.terminate_s}
        return timedelta(seconds=by_state[state])


class Transitions:
    """Which instances are on the way, since when ended ones are, and the rules of what may follow what."""

    def __init__(self, delays: Delays) -> None:
        self.delays = delays
        self.due: dict[str, datetime] = {}
        self.terminated_at: dict[str, datetime] = {}
        self._unsettled = True

    def states_before(self, call: Call) -> dict[str, str]:
        """The states of the instances that a call is about to change.

        Raises RefusedError: IncorrectInstanceState, one of them is where this cannot follow.
        """
        if call.action not in _ON_THE_WAY and call.action != "RebootInstances":
            return {}
        wanted = {value for name, value in call.params.items() if name.startswith("InstanceId.")}
        found = {one.id: str(one.state) for one in world.instances(call.region) if one.id in wanted}
        for instance_id, state in found.items():
            _require_possible(call.action, instance_id, state)
        return found

    def begin(
        self, action: str, instances: Iterable[Any], before: Mapping[str, str], now: datetime, boot_s: float
    ) -> None:
        """Put instances that moto has just changed on their way; those that were there already stay as they were.

        `boot_s` is added to the usual time of a boot.
        """
        state = _ON_THE_WAY.get(action)
        if state is None:
            return
        for instance in instances:
            earlier = before.get(instance.id)
            if earlier in {state, _ENDS[state]} or earlier == "terminated":
                put(instance, earlier)
                continue
            put(instance, state)
            slower = timedelta(seconds=boot_s if state == "pending" else 0.0)
            self.due[instance.id] = now + self.delays.of(state) + slower
            self._unsettled = True

    def settle(self, now: datetime) -> bool:
        """Move on whatever is due, and forget what ended long ago; whether anything changed.

        A state on the way without a time, which a crash between two writes can leave, is due.
        """
        if not self._unsettled and not self._is_anything_due(now):
            return False
        changed = False
        self._unsettled = False
        for _, instance in world.every_instance():
            state = str(instance.state)
            if state in _ENDS and self.due.get(instance.id, now) <= now:
                put(instance, _ENDS[state])
                self.due.pop(instance.id, None)
                changed = True
            if instance.state == "terminated":
                self.terminated_at.setdefault(instance.id, now)
        old = {one for one, at in self.terminated_at.items() if at + TERMINATED_IS_SHOWN_FOR <= now}
        for instance_id in old:
            forget(instance_id)
            del self.terminated_at[instance_id]
        return changed or bool(old)

    def next_due(self) -> datetime | None:
        """When something is next to move on."""
        return min(self.due.values(), default=None)

    def _is_anything_due(self, now: datetime) -> bool:
        first_ended = min(self.terminated_at.values(), default=None)
        return any(at <= now for at in self.due.values()) or (
            first_ended is not None and first_ended + TERMINATED_IS_SHOWN_FOR <= now
        )


def put(instance: Any, state: str) -> None:
    """Set an instance's state."""
    instance._state.name = state  # noqa: SLF001 - moto's only place for it
    instance._state.code = CODES[state]  # noqa: SLF001


def forget(instance_id: str) -> bool:
    """Take an instance out of moto's memory, as EC2 does with ended ones; whether it was there."""
    for region in world.regions("ec2"):
        model = world.backend("ec2", region)
        for reservation in list(model.reservations.values()):
            kept = [one for one in reservation.instances if one.id != instance_id]
            if len(kept) == len(reservation.instances):
                continue
            reservation.instances = kept
            if not kept:
                del model.reservations[reservation.id]
            model.iam_instance_profile_associations.pop(instance_id, None)
            model.tags.pop(instance_id, None)
            return True
    return False


def _require_possible(action: str, instance_id: str, state: str) -> None:
    impossible = {
        "StartInstances": {"terminated", "shutting-down", "stopping"},
        "StopInstances": {"terminated", "shutting-down", "pending"},
        "RebootInstances": {"terminated", "shutting-down", "stopping", "stopped", "pending"},
    }
    if state in impossible.get(action, set()):
        done = {"StartInstances": "started", "StopInstances": "stopped", "RebootInstances": "rebooted"}[
            action
        ]
        raise RefusedError(
            f"The instance '{instance_id}' is not in a state from which it can be {done}.",
            code="IncorrectInstanceState",
        )
