"""DescribeInstances, DescribeInstanceStatus and GetConsoleOutput, answered here.

moto copies and searches everything for every page, which makes a fleet of 10,000 take minutes to read; it counts
reservations where EC2 counts instances, and pages no statuses. Source: the EC2 API reference of the three actions.
"""

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from local_cloud.aws import world
from local_cloud.aws.ec2_xml import instance_xml, status_xml, tag
from local_cloud.aws.wire import AwsAnswer, RefusedError, new_request_id
from local_cloud.aws.world import Call

ACTIONS = ("DescribeInstances", "DescribeInstanceStatus", "GetConsoleOutput")
LARGEST_PAGE = 1000
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
_FILTER = re.compile(r"Filter\.(\d+)\.Name")

Matches = Callable[[Any], bool]


def answer(call: Call, impaired: frozenset[str] | set[str], consoles: Mapping[str, "Console"]) -> AwsAnswer:
    """Raises RefusedError: an unknown instance, a filter or page that cannot be."""
    if call.action == "GetConsoleOutput":
        return _console(call, consoles)
    named = _numbered(call.params, "InstanceId")
    if named and "MaxResults" in call.params:
        raise RefusedError(
            "The parameter instancesSet cannot be used with the parameter maxResults",
            code="InvalidParameterCombination",
        )
    found = _named(call.region, named) if named else list(world.instances(call.region))
    matches = _filters(call, impaired)
    if call.action == "DescribeInstanceStatus" and call.params.get("IncludeAllInstances") != "true":
        found = [one for one in found if one.state == "running"]
    found = [one for one in found if all(match(one) for match in matches)]
    page, token = (found, "") if named else _page(found, call.params)
    if call.action == "DescribeInstances":
        body = f"<reservationSet>{_reservations(call.region, page)}</reservationSet>"
    else:
        statuses = "".join(status_xml(one, impaired=one.id in impaired) for one in page)
        body = f"<instanceStatusSet>{statuses}</instanceStatusSet>"
    return ec2_answer(call.action, body + tag("nextToken", token))


class Console:
    """What an instance wrote to its serial console, as far as it is kept."""

    def __init__(self, output: bytes, at: datetime) -> None:
        self.output = output
        self.at = at


def ec2_answer(action: str, body: str) -> AwsAnswer:
    """An answer in EC2's XML."""
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><{action}Response xmlns="{_NAMESPACE}">'
        f"<requestId>{new_request_id()}</requestId>{body}</{action}Response>"
    )
    return AwsAnswer(200, [("Content-Type", "text/xml;charset=UTF-8")], text.encode())


def run_answer(region: str, instances: list[Any]) -> AwsAnswer:
    """What RunInstances answers for the instances it made."""
    reservation = _reservation_of(region)[instances[0].id]
    items = "".join(instance_xml(region, one) for one in instances)
    return ec2_answer(
        "RunInstances",
        f"<reservationId>{reservation}</reservationId><ownerId>{world.ACCOUNT_ID}</ownerId><groupSet/>"
        f"<instancesSet>{items}</instancesSet>",
    )


def _console(call: Call, consoles: Mapping[str, Console]) -> AwsAnswer:
    instance = _named(call.region, [call.params.get("InstanceId", "")])[0]
    console = consoles.get(instance.id, Console(b"", datetime.now(UTC)))
    return ec2_answer(
        call.action,
        tag("instanceId", instance.id)
        + tag("timestamp", console.at.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
        + tag("output", base64.b64encode(console.output).decode()),
    )


def _named(region: str, ids: list[str]) -> list[Any]:
    wanted = dict.fromkeys(ids)
    found = {one.id: one for one in world.instances(region) if one.id in wanted}
    missing = [one for one in wanted if one not in found]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        verb = "do" if len(missing) > 1 else "does"
        raise RefusedError(
            f"The instance ID{plural} '{', '.join(missing)}' {verb} not exist",
            code="InvalidInstanceID.NotFound",
        )
    return [found[one] for one in wanted]


def _numbered(params: Mapping[str, str], name: str) -> list[str]:
    pattern = re.compile(re.escape(name) + r"\.(\d+)")
    found = {int(match[1]): value for key, value in params.items() if (match := pattern.fullmatch(key))}
    return [found[number] for number in sorted(found)]


def _page(found: list[Any], params: Mapping[str, str]) -> tuple[list[Any], str]:
    """A page by launch time and id, so that what ends meanwhile moves nothing; and the token of the next."""
    wanted = params.get("MaxResults", str(LARGEST_PAGE))
    if not (wanted.isascii() and wanted.isdigit() and 5 <= int(wanted) <= LARGEST_PAGE):
        raise RefusedError(
            f"Value ( {wanted} ) for parameter maxResults is invalid. Expecting a value from 5 to {LARGEST_PAGE}.",
            code="InvalidParameterValue",
        )
    found.sort(key=_place)
    start = (
        bisect_right(found, _read_token(params["NextToken"]), key=_place) if params.get("NextToken") else 0
    )
    page = found[start : start + int(wanted)]
    more = len(found) > start + int(wanted)
    return page, _token(_place(page[-1])) if more else ""


def _place(instance: Any) -> tuple[str, str]:
    return instance.launch_time.isoformat(), instance.id


def _token(place: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(" ".join(place).encode()).decode()


def _read_token(token: str) -> tuple[str, str]:
    try:
        launched, _, instance_id = base64.urlsafe_b64decode(token.encode()).decode().partition(" ")
    except (ValueError, binascii.Error):
        launched = instance_id = ""
    if not instance_id:
        raise RefusedError("The token is not one this service gave.", code="InvalidNextToken")
    return launched, instance_id


def _filters(call: Call, impaired: frozenset[str] | set[str]) -> list[Matches]:
    """One test for each filter; its values are patterns with * and ?, any of which is enough."""
    matches: list[Matches] = []
    tags = world.backend("ec2", call.region).tags
    for name, filter_name in call.params.items():
        numbered = _FILTER.fullmatch(name)
        if numbered is None:
            continue
        values = _numbered(call.params, f"Filter.{numbered[1]}.Value")
        if not values:
            raise RefusedError(f"The filter '{filter_name}' has no values.", code="MissingParameter")
        read = _reading(filter_name, call, tags, impaired)
        matches.append(_any_of(read, values))
    return matches


def _any_of(read: Callable[[Any], Iterable[str]], values: list[str]) -> Matches:
    exact = {value for value in values if not set("*?") & set(value)}
    patterns = [
        re.compile("".join({"*": ".*", "?": "."}.get(one, re.escape(one)) for one in value), re.DOTALL)
        for value in values
        if value not in exact
    ]
    return lambda instance: any(
        found in exact or any(pattern.fullmatch(found) for pattern in patterns) for found in read(instance)
    )


_READINGS: dict[str, Callable[[Any], Iterable[str]]] = {
    "availability-zone": lambda one: (str(one.placement.zone),),
    "client-token": lambda one: (one.client_token or "",),
    "image-id": lambda one: (one.image_id,),
    "instance-id": lambda one: (one.id,),
    "instance-lifecycle": lambda one: (one.lifecycle,) if one.lifecycle else (),
    "instance-state-code": lambda one: (str(one.state_code),),
    "instance-state-name": lambda one: (one.state,),
    "instance-type": lambda one: (one.instance_type,),
    "instance.group-id": lambda one: [group.id for group in one.security_groups],
    "private-ip-address": lambda one: (one.private_ip or "",),
    "subnet-id": lambda one: (one.subnet_id or "",),
    "vpc-id": lambda one: (one.vpc_id or "",),
}


def _reading(
    name: str, call: Call, tags: Mapping[str, Mapping[str, str]], impaired: frozenset[str] | set[str]
) -> Callable[[Any], Iterable[str]]:
    """How to read what a filter asks for from an instance."""
    if name in _READINGS:
        return _READINGS[name]
    if name == "tag-key":
        return lambda one: tags.get(one.id, {}).keys()
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return lambda one: (tags[one.id][key],) if key in tags.get(one.id, {}) else ()
    if name == "iam-instance-profile.arn":
        profiles = world.backend("ec2", call.region).iam_instance_profile_associations
        return lambda one: (profiles[one.id].iam_instance_profile.arn,) if one.id in profiles else ()
    if name == "reservation-id":
        reservations = _reservation_of(call.region)
        return lambda one: (reservations[one.id],)
    if name in {"instance-status.status", "system-status.status"} and call.action == "DescribeInstanceStatus":
        return lambda one: ("impaired" if one.id in impaired else "ok",)
    raise RefusedError(
        f"The filter '{name}' is invalid (or one that the local cloud does not offer).",
        code="InvalidParameterValue",
    )


def _reservation_of(region: str) -> dict[str, str]:
    reservations = world.backend("ec2", region).reservations.values()
    return {one.id: reservation.id for reservation in reservations for one in reservation.instances}


def _reservations(region: str, page: list[Any]) -> str:
    reservation_of = _reservation_of(region)
    grouped: dict[str, list[Any]] = {}
    for instance in page:
        grouped.setdefault(reservation_of[instance.id], []).append(instance)
    return "".join(
        f"<item><reservationId>{reservation}</reservationId><ownerId>{world.ACCOUNT_ID}</ownerId><groupSet/>"
        f"<instancesSet>{''.join(instance_xml(region, one) for one in members)}</instancesSet></item>"
        for reservation, members in grouped.items()
    )
