"""EC2's rules about instances that moto leaves out: client tokens, user data's size, profiles of all of a reservation.

Source: "Ensuring idempotency in Amazon EC2 API requests" and the EC2 API reference of Start-, StopInstances.
"""

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from local_cloud.aws import world
from local_cloud.aws.wire import AwsAnswer, RefusedError
from local_cloud.aws.world import Call

TOKEN_LIFETIME = timedelta(hours=48)
MAX_USER_DATA_BYTES = 16 * 1024
_WITH_TOKEN = {"CreateLaunchTemplate", "CreateVolume", "RunInstances"}


@dataclass(frozen=True)
class FirstAnswer:
    fingerprint: str
    at: datetime
    body: bytes = field(repr=False)


class ClientTokens:
    """Remembers the first answer to each client token; the same request again gets that answer again."""

    def __init__(self) -> None:
        self.answers: dict[str, FirstAnswer] = {}

    def earlier_answer(self, call: Call) -> AwsAnswer | None:
        """Raises RefusedError: IdempotentParameterMismatch, the token was used with other parameters."""
        token = _token(call)
        earlier = self.answers.get(token) if token else None
        if earlier is None:
            return None
        if earlier.fingerprint != _fingerprint(call):
            raise RefusedError(
                "The client token was used before, with other parameters.", code="IdempotentParameterMismatch"
            )
        return AwsAnswer(200, [("Content-Type", "text/xml;charset=UTF-8")], zlib.decompress(earlier.body))

    def remember(self, call: Call, answer: AwsAnswer, now: datetime) -> bool:
        """Whether there was something to remember, which must then be made durable with the change itself."""
        token = _token(call)
        if not token or answer.status != 200:
            return False
        for old in [name for name, one in self.answers.items() if one.at + TOKEN_LIFETIME < now]:
            del self.answers[old]
        self.answers[token] = FirstAnswer(_fingerprint(call), now, zlib.compress(answer.body))
        return True


def require_small_user_data(call: Call) -> None:
    """Raises RefusedError: InvalidParameterValue, user data is larger than EC2 takes."""
    try:
        size = len(base64.b64decode(call.params.get("UserData", "")))
    except ValueError:
        return  # moto says so in EC2's words
    if call.action == "RunInstances" and size > MAX_USER_DATA_BYTES:
        raise RefusedError(
            f"User data is limited to {MAX_USER_DATA_BYTES} bytes", code="InvalidParameterValue"
        )


def completed(call: Call) -> Call:
    """The call with what EC2 finds by itself and moto does not: of which instance a volume is detached."""
    if call.action != "DetachVolume" or "InstanceId" in call.params:
        return call
    volume = world.backend("ec2", call.region).volumes.get(call.params.get("VolumeId", ""))
    if volume is None or volume.attachment is None:
        return call
    params = call.params | {"InstanceId": volume.attachment.instance.id, "Device": volume.attachment.device}
    return replace(call, params=params, request=replace(call.request, body=urlencode(params).encode()))


def carry_profile(call: Call, reservation_instance_ids: list[str]) -> None:
    """Give every instance of a reservation the instance profile; moto gives it to the first alone."""
    name = call.params.get("IamInstanceProfile.Name")
    arn = call.params.get("IamInstanceProfile.Arn")
    model = world.backend("ec2", call.region)
    for instance_id in reservation_instance_ids:
        if (name or arn) and instance_id not in model.iam_instance_profile_associations:
            model.associate_iam_instance_profile(
                instance_id=instance_id, iam_instance_profile_name=name, iam_instance_profile_arn=arn
            )


def _token(call: Call) -> str:
    token = call.params.get("ClientToken", "")
    return f"{call.region} {call.action} {token}" if token and call.action in _WITH_TOKEN else ""


def _fingerprint(call: Call) -> str:
    return hashlib.sha256(json.dumps(sorted(call.params.items())).encode()).hexdigest()
