"""Faults one can switch on: what EC2 and its network do to a program now and then.

A fault waits in a list until it meets a request that it is meant for. The control door (`control`) adds and removes them;
they outlive a restart of the endpoint, as everything does.
"""

import fnmatch
import random
import secrets
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local_cloud.aws import world
from local_cloud.aws.wire import PROTOCOL_BY_SERVICE, Protocol, RefusedError
from local_cloud.aws.world import Call

KINDS = {
    "no_capacity": "RunInstances and StartInstances find no capacity (InsufficientInstanceCapacity)",
    "throttle": "requests are refused as too many (RequestLimitExceeded)",
    "lose_answer": "the request is done, and the connection cut before the answer",
    "hold_answer": "the request is done, and its answer waits until the fault is cleared, or for_s seconds",
    "lose_request": "the connection is cut before anything is done",
    "slow_boot": "an instance takes boot_s seconds longer from pending to running",
    "down": "every connection but those of the control door is cut, for for_s seconds",
}
_CAPACITY_ACTIONS = {"RunInstances", "StartInstances"}
_THROTTLED = {
    Protocol.EC2: ("RequestLimitExceeded", 503),
    Protocol.QUERY: ("Throttling", 400),
    Protocol.JSON: ("ThrottlingException", 400),
    Protocol.S3: ("SlowDown", 503),
}


class ConnectionCutError(Exception):
    """The caller is to get no answer."""


class InvalidFaultError(Exception):
    """What was asked for is no fault; the message says why."""


@dataclass
class Fault:
    """One fault: what it does, to which requests, how often and until when.

    `service`, `action`, `zone` and `instance_type` are patterns as of fnmatch. `about` is a text that must stand in a parameter
    or in a tag of an instance that is named, such as an organization's id. `times` counts down; None is without end. `rate` is
    the share of matching requests it meets.
    """

    kind: str
    service: str = "*"
    action: str = "*"
    zone: str = "*"
    instance_type: str = "*"
    about: str = ""
    times: int | None = None
    rate: float = 1.0
    boot_s: float = 0.0
    until: datetime | None = None
    met: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(3))

    def shown(self) -> dict[str, Any]:
        """The fault as JSON has it."""
        return asdict(self) | {"until": self.until.isoformat() if self.until else None}


def read(document: dict[str, Any]) -> Fault:
    """A fault from a JSON object: Fault's fields without `met`, `id` and `until`, and `for_s`, seconds from now.

    Raises InvalidFaultError.
    """
    if document.get("kind") not in KINDS:
        raise InvalidFaultError(f"kind must be one of {', '.join(KINDS)}.")
    texts = {
        name: document[name]
        for name in ("service", "action", "zone", "instance_type", "about")
        if name in document
    }
    numbers = {
        name: document[name]
        for name in ("times", "rate", "boot_s", "for_s")
        if document.get(name) is not None
    }
    unknown = set(document) - {"kind", "times", "rate", "boot_s", "for_s"} - set(texts)
    if unknown:
        raise InvalidFaultError(f"A fault has no {', '.join(sorted(unknown))}.")
    if any(not isinstance(value, str) or not value for value in texts.values()):
        raise InvalidFaultError("service, action, zone, instance_type and about are texts.")
    if any(isinstance(one, bool) or not isinstance(one, int | float) or one <= 0 for one in numbers.values()):
        raise InvalidFaultError("times, rate, boot_s and for_s are numbers above 0.")
    if numbers.get("rate", 1.0) > 1 or int(numbers.get("times", 1)) != numbers.get("times", 1):
        raise InvalidFaultError("rate is at most 1, and times is a whole number.")
    if document["kind"] == "slow_boot" and "boot_s" not in numbers:
        raise InvalidFaultError("slow_boot needs boot_s, the seconds a boot takes longer.")
    if document["kind"] in {"down", "hold_answer"} and "for_s" not in numbers:
        raise InvalidFaultError(f"{document['kind']} needs for_s, the seconds it lasts.")
    if document["kind"] == "hold_answer" and "times" in numbers:
        raise InvalidFaultError("hold_answer holds every answer until it is cleared; it takes no times.")
    for_s = numbers.pop("for_s", None)
    until = datetime.now(UTC) + timedelta(seconds=for_s) if for_s else None
    return Fault(kind=document["kind"], until=until, **texts, **numbers)


class Faults:
    """The faults that wait, oldest first."""

    def __init__(self) -> None:
        self.waiting: list[Fault] = []

    def live(self, now: datetime) -> list[Fault]:
        """Those that can still meet a request; the others are dropped."""
        self.waiting = [
            one for one in self.waiting if one.times != 0 and (one.until is None or one.until > now)
        ]
        return self.waiting

    def clear(self, fault_id: str | None) -> int:
        """Remove one fault, or all; how many that were."""
        kept = [one for one in self.waiting if fault_id is not None and one.id != fault_id]
        removed = len(self.waiting) - len(kept)
        self.waiting = kept
        return removed

    def meet_connection(self, now: datetime) -> None:
        """Raises ConnectionCutError: the endpoint is down."""
        if any(one.kind == "down" for one in self.live(now)):
            raise ConnectionCutError

    def meet(self, call: Call, now: datetime) -> Fault | None:
        """What a verified and allowed request meets before it is done; what its answer meets afterwards.

        Raises:
            RefusedError: throttled, or without capacity.
            ConnectionCutError: the request is lost.
        """
        if not self.waiting:
            return None
        if self._takes("lose_request", call, now):
            raise ConnectionCutError
        if self._takes("throttle", call, now):
            code, status = _THROTTLED[PROTOCOL_BY_SERVICE[call.service]]
            raise RefusedError("Request limit exceeded.", code=code, status=status)
        if (
            call.service == "ec2"
            and call.action in _CAPACITY_ACTIONS
            and self._takes("no_capacity", call, now)
        ):
            zones = ", ".join(zone for zone, _ in _places(call))
            raise RefusedError(
                "We currently do not have sufficient capacity in the Availability Zone you requested "
                f"({zones}). Our system will be working on provisioning additional capacity.",
                code="InsufficientInstanceCapacity",
                status=500,
            )
        return self._takes("lose_answer", call, now) or self._takes("hold_answer", call, now)

    def holds(self, fault: Fault) -> bool:
        """Whether an answer that met this fault is to wait on."""
        return fault in self.waiting and fault.until is not None and datetime.now(UTC) < fault.until

    def boot_delay(self, call: Call, now: datetime) -> float:
        """How many seconds longer than usual this start takes."""
        if not self.waiting or call.service != "ec2" or call.action not in _CAPACITY_ACTIONS:
            return 0.0
        fault = self._takes("slow_boot", call, now)
        return fault.boot_s if fault else 0.0

    def _takes(self, kind: str, call: Call, now: datetime) -> Fault | None:
        for fault in self.live(now):
            if fault.kind != kind or not _matches(fault, call) or random.random() >= fault.rate:  # noqa: S311 - chance
                continue
            fault.met += 1
            fault.times = None if fault.times is None else fault.times - 1
            return fault
        return None


def _matches(fault: Fault, call: Call) -> bool:
    if not (
        fnmatch.fnmatchcase(call.service, fault.service) and fnmatch.fnmatchcase(call.action, fault.action)
    ):
        return False
    if fault.about and not _is_about(fault.about, call):
        return False
    if fault.zone == fault.instance_type == "*":
        return True
    return any(
        fnmatch.fnmatchcase(zone, fault.zone) and fnmatch.fnmatchcase(kind, fault.instance_type)
        for zone, kind in _places(call)
    )


def _is_about(text: str, call: Call) -> bool:
    if any(text in str(value) for value in call.params.values()):
        return True
    if call.service != "ec2":
        return False
    tags = world.backend("ec2", call.region).tags
    named = [value for name, value in call.params.items() if name.startswith("InstanceId")]
    return any(text in value for instance_id in named for value in tags.get(instance_id, {}).values())


def _places(call: Call) -> list[tuple[str, str]]:
    """Zone and type of each instance that a request would start."""
    params = call.params
    if call.service != "ec2":
        return []
    if call.action == "RunInstances":
        subnet_id = params.get("SubnetId") or params.get("NetworkInterface.1.SubnetId", "")
        by_zone = world.backend("ec2", call.region).subnets
        zone = next((name for name, subnets in by_zone.items() if subnet_id in subnets), f"{call.region}a")
        return [(params.get("Placement.AvailabilityZone") or zone, params.get("InstanceType", "m1.small"))]
    named = {value for name, value in params.items() if name.startswith("InstanceId.")}
    return [
        (str(one.placement.zone), str(one.instance_type))
        for one in world.instances(call.region)
        if one.id in named
    ]
