"""What an EC2 request asks of the policies.

Every resource the request names by id is asked for, with its tags. Creating calls are asked for each kind of thing
they make, as `instance/*` and the like, and tags given with them ask for `ec2:CreateTags` too.
"""

import re
from collections.abc import Sequence

from local_cloud.aws import world
from local_cloud.aws.policies import Ask
from local_cloud.aws.world import Call

Context = dict[str, tuple[str, ...]]

_KIND_BY_PREFIX = {
    "acl": "network-acl", "ami": "image", "eni": "network-interface", "i": "instance", "igw": "internet-gateway",
    "lt": "launch-template", "rtb": "route-table", "sg": "security-group", "sgr": "security-group-rule",
    "snap": "snapshot", "subnet": "subnet", "vol": "volume", "vpc": "vpc",
}  # fmt: skip
_MADE_BY = {
    "AllocateAddress": ("elastic-ip",),
    "CreateLaunchTemplate": ("launch-template",),
    "CreateSecurityGroup": ("security-group",),
    "CreateSnapshot": ("snapshot",),
    "CreateSubnet": ("subnet",),
    "CreateVolume": ("volume",),
    "CreateVpc": ("vpc",),
    "RunInstances": ("instance", "volume", "network-interface"),
}
_ID_PARAMETER = re.compile(
    r"(?:[A-Za-z]+Ids?|SecurityGroupId|ResourceId)(?:\.\d+)?|NetworkInterface\.\d+\.(?:SubnetId|SecurityGroupId\.\d+)"
)
_RESOURCE_ID = re.compile(r"([a-z]+)-[0-9a-f]{8,17}")
_SPECIFIED_TAG = re.compile(r"TagSpecification\.(\d+)\.Tag\.(\d+)\.Key")
_PLAIN_TAG = re.compile(r"Tag\.(\d+)\.Key")


def asks_for(call: Call, context: Context) -> list[Ask]:
    params = call.params
    if call.action.startswith("Describe"):
        return [Ask(f"ec2:{call.action}", "*", context)]
    tags = _tags(call)
    own = context | {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    if call.action == "CreateVolume":
        own["ec2:encrypted"] = (params.get("Encrypted", "false").lower(),)
    if tags:
        own["aws:tagkeys"] = tuple(tags)
    named = [
        value
        for name, value in params.items()
        if _ID_PARAMETER.fullmatch(name) and _RESOURCE_ID.fullmatch(value)
    ]
    asks = [
        Ask(f"ec2:{call.action}", _arn(call, one), own | _resource_tags(call, one))
        for one in dict.fromkeys(named)
    ]
    made = _MADE_BY.get(call.action, ())
    asks.extend(Ask(f"ec2:{call.action}", call.arn(f"{kind}/*"), own) for kind in made)
    if tags and call.action not in {"CreateTags", "DeleteTags"}:
        tagging = own | {"ec2:createaction": (call.action,)}
        asks.extend(Ask("ec2:CreateTags", call.arn(f"{kind}/*"), tagging) for kind in _tagged_kinds(call))
    asks.extend(_pass_role(call, context))
    return asks or [Ask(f"ec2:{call.action}", "*", own)]


def of_network_interface(call: Call, subnet: str, groups: Sequence[str], context: Context) -> list[Ask]:
    """What a service asks in its caller's name when it makes a network interface."""
    named = [
        Ask("ec2:CreateNetworkInterface", _arn(call, one), context | _resource_tags(call, one))
        for one in (subnet, *groups)
    ]
    return [
        *named,
        Ask("ec2:CreateNetworkInterface", call.arn("network-interface/*", service="ec2"), context),
    ]


def _arn(call: Call, resource_id: str) -> str:
    kind = _KIND_BY_PREFIX.get(resource_id.partition("-")[0], "unknown")
    if kind in {"image", "snapshot"}:
        return f"arn:aws:ec2:{call.region}::{kind}/{resource_id}"
    return call.arn(f"{kind}/{resource_id}", service="ec2")


def _resource_tags(call: Call, resource_id: str) -> Context:
    tags = world.backend("ec2", call.region).tags.get(resource_id, {})
    found: Context = {}
    for key, value in tags.items():
        found[f"aws:resourcetag/{key.lower()}"] = found[f"ec2:resourcetag/{key.lower()}"] = (str(value),)
    return found


def _tags(call: Call) -> dict[str, str]:
    params = call.params
    found: dict[str, str] = {}
    for name, key in params.items():
        if _SPECIFIED_TAG.fullmatch(name) or _PLAIN_TAG.fullmatch(name):
            found[key] = params.get(name.removesuffix("Key") + "Value", "")
    return found


def _tagged_kinds(call: Call) -> list[str]:
    kinds = (
        call.params[name]
        for name in call.params
        if re.fullmatch(r"TagSpecification\.\d+\.ResourceType", name)
    )
    return list(dict.fromkeys(kinds))


def _pass_role(call: Call, context: Context) -> list[Ask]:
    """Handing an instance a profile hands it the profile's role."""
    params = call.params
    named = (
        params.get("IamInstanceProfile.Name") or params.get("IamInstanceProfile.Arn", "").rpartition("/")[2]
    )
    if not named:
        return []
    profiles = world.backend("iam").instance_profiles.values()
    roles = [role for profile in profiles if profile.name == named for role in profile.roles]
    passing = context | {"iam:passedtoservice": ("ec2.amazonaws.com",)}
    return [Ask("iam:PassRole", str(role.arn), passing) for role in roles]
