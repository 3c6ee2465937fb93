"""The local cloud's own door beside AWS's: `POST /_local/...`, for who signs with the account's root key.

Faults are switched on here, instances are ended from outside, and the VM simulator asks what is to run. On AWS there is
no such door. Bodies and answers are JSON objects.
"""

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from local_cloud.aws import faults, instance_credentials, sts, volumes, world
from local_cloud.aws.control_client import PREFIX
from local_cloud.aws.describing import Console
from local_cloud.aws.ec2 import Ec2
from local_cloud.aws.faults import Faults
from local_cloud.aws.identities import Identities, Identity
from local_cloud.aws.wire import AwsAnswer, Fault, RefusedError, json_answer

CONSOLE_BYTES = 64 * 1024
ACTS = {
    "stop": "stopped from outside, as by a person in AWS's console",
    "reclaim": "ended from outside, as a spot reclaim does",
    "vanish": "ended, and gone from DescribeInstances at once",
    "impair": "its status checks fail",
    "heal": "its status checks pass again",
}


class Control:
    """Answers the control door."""

    def __init__(self, identities: Identities, ec2: Ec2, waiting: Faults) -> None:
        self._identities = identities
        self._ec2 = ec2
        self._faults = waiting
        self._doors: dict[str, Callable[[dict[str, Any], datetime], dict[str, Any]]] = {
            "faults/add": self._add_fault,
            "faults/list": self._list_faults,
            "faults/clear": self._clear_faults,
            "instances/list": self._list_instances,
            "instances/act": self._act,
            "instances/console": self._keep_console,
        }

    def answer(self, path: str, body: bytes, caller: Identity, now: datetime) -> tuple[AwsAnswer, bool]:
        """The answer, and whether the layer's or EC2's state changed.

        Raises RefusedError: a caller other than root, no such door, or what the door says.
        """
        self._ec2.settle(now)
        if path == instance_credentials.PATH:
            return sts.mint_instance_credentials(body, caller, self._identities, now), True
        if caller.kind != "root":
            raise RefusedError("Only the account's root may use this.", fault=Fault.NOT_ALLOWED)
        door = self._doors.get(path.removeprefix(PREFIX))
        try:
            document = json.loads(body or b"{}")
        except ValueError:
            document = None
        if door is None or not isinstance(document, dict):
            raise _invalid(f"Say one of {', '.join(self._doors)}, with a JSON object.")
        answer = json_answer(door(document, now), content_type="application/json")
        return answer, path.endswith(("/add", "/clear", "/act"))

    def _add_fault(self, document: dict[str, Any], _now: datetime) -> dict[str, Any]:
        try:
            fault = faults.read(document)
        except faults.InvalidFaultError as error:
            raise _invalid(str(error)) from None
        self._faults.waiting.append(fault)
        return fault.shown()

    def _list_faults(self, _document: dict[str, Any], now: datetime) -> dict[str, Any]:
        return {"faults": [one.shown() for one in self._faults.live(now)]}

    def _clear_faults(self, document: dict[str, Any], _now: datetime) -> dict[str, Any]:
        wanted = document.get("id")
        removed = self._faults.clear(wanted)
        if wanted is not None and not removed:
            raise _invalid(f"No fault {wanted} waits.")
        return {"removed": removed}

    def _list_instances(self, document: dict[str, Any], _now: datetime) -> dict[str, Any]:
        """All instances, in the words of `_shown`; without them when the caller has this revision already."""
        if document.get("since") == self._ec2.revision:
            return {"revision": self._ec2.revision}
        return {
            "revision": self._ec2.revision,
            "instances": [self._shown(region, one) for region, one in world.every_instance()],
            "volumes": volumes.existing(),
        }

    def _act(self, document: dict[str, Any], now: datetime) -> dict[str, Any]:
        act, instance_id = document.get("act"), document.get("instance")
        if act not in ACTS:
            raise _invalid(f"act must be one of {', '.join(ACTS)}.")
        found = next(((region, one) for region, one in world.every_instance() if one.id == instance_id), None)
        if found is None:
            raise _invalid(f"There is no instance {instance_id}.")
        region, instance = found
        possible = {"stop": {"running"}, "impair": {"running"}, "heal": None, "vanish": None}
        states = possible.get(act, {"pending", "running", "stopping", "stopped"})
        if states is not None and instance.state not in states:
            raise _invalid(f"The instance is {instance.state}.")
        self._ec2.act(act, region, instance, now)
        return {"instance": instance_id, "state": instance.state}

    def _keep_console(self, document: dict[str, Any], now: datetime) -> dict[str, Any]:
        try:
            output = base64.b64decode(document["output"], validate=True)
            instance_id = str(document["instance"])
        except (KeyError, ValueError, TypeError):
            raise _invalid("instance and output (base64) are needed.") from None
        self._ec2.consoles[instance_id] = Console(output[-CONSOLE_BYTES:], now)
        return {}

    def _shown(self, region: str, one: Any) -> dict[str, Any]:
        model = world.backend("ec2", region)
        association = model.iam_instance_profile_associations.get(one.id)
        profile = association.iam_instance_profile if association else None
        return {
            "instance_id": one.id,
            "region": region,
            "zone": str(one.placement.zone),
            "state": str(one.state),
            "address": self._ec2.addresses.give(one),
            "instance_type": str(one.instance_type),
            "image_id": str(one.image_id),
            "launched_at": one.launch_time.isoformat(),
            "profile_arn": profile.arn if profile else None,
            "roles": [role.name for role in profile.roles] if profile else [],
            "metadata_endpoint": one.metadata_options.http_endpoint != "disabled",
            "user_data": str(one.user_data or ""),  # in base64, as RunInstances took it
            "tags": dict(model.tags.get(one.id, {})),
            "impaired": one.id in self._ec2.impaired,
            "boots": self._ec2.boots.get(one.id, 0),
            "volumes": volumes.attached(region, one.id),
        }


def _invalid(message: str) -> RefusedError:
    return RefusedError(message, code="ValidationError")
