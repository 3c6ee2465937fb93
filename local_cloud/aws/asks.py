"""Which questions a request puts to the policies: for SSM, KMS, SQS and IAM here, for EC2 and S3 beside.

Source: "Actions, resources, and condition keys" of each service in AWS's Service Authorization Reference.
"""

from typing import Any

from local_cloud.aws import asks_ec2, asks_s3, file_systems, keys, world
from local_cloud.aws.policies import Ask
from local_cloud.aws.wire import RefusedError
from local_cloud.aws.world import Call

Context = dict[str, tuple[str, ...]]


def asks_for(call: Call, context: Context) -> list[Ask]:
    """All that must be allowed for the call, beginning with its own action.

    Raises RefusedError: the request cannot be understood well enough to ask.
    """
    match call.service:
        case "ssm":
            return _ssm(call, context)
        case "kms":
            return _kms(call, context)
        case "sqs":
            return _sqs(call, context)
        case "iam":
            return _iam(call, context)
        case "ec2":
            return asks_ec2.asks_for(call, context)
        case "elasticfilesystem":
            return file_systems.asks_for(call, context)
        case "s3":
            return asks_s3.asks_for(call, context)
    raise RefusedError(f"The local cloud does not offer the service {call.service}.", code="UnknownService")


def parameter_arn(call: Call, name: str) -> str:
    """The ARN policies speak of: without version or label, and without the slash a path begins with."""
    if name.startswith("arn:"):
        return ":".join(name.split(":")[:6])
    return call.arn(f"parameter/{name.split(':', maxsplit=1)[0].removeprefix('/')}", service="ssm")


def _ssm(call: Call, context: Context) -> list[Ask]:
    params = call.params
    named = [*_strings(params.get("Names")), *_strings(params.get("Name"))]
    if params.get("ResourceType") == "Parameter":
        named = _strings(params.get("ResourceId"))
    if call.action == "GetParametersByPath":
        named = _strings(params.get("Path"))
    if call.action == "DescribeParameters" or not named:
        resources = ["*"]
    else:
        resources = [parameter_arn(call, name) for name in named]
    own = context | _tag_context(params.get("Tags"), "Key", "Value")
    asks = [Ask(f"ssm:{call.action}", resource, own) for resource in resources]
    if call.action == "PutParameter":
        key = keys.key_for_put(call)
        if key is not None:
            through_ssm = keys.parameter_context(parameter_arn(call, str(params["Name"])))
            asks.append(key.ask(call, "Encrypt", context, through_ssm, via="ssm"))
        if params.get("Tags"):
            asks.append(Ask("ssm:AddTagsToResource", resources[0], own))
    return asks


def _kms(call: Call, context: Context) -> list[Ask]:
    params = call.params
    own = context | _tag_context(params.get("Tags"), "TagKey", "TagValue")
    encryption_context = params.get("EncryptionContext") or {}
    named = [str(params[name]) for name in ("KeyId", "TargetKeyId") if params.get(name)]
    if call.action in {"Decrypt", "ReEncrypt"}:
        named.append(keys.key_id_of_ciphertext(params.get("CiphertextBlob")))
    asks: list[Ask] = []
    if call.action in {"CreateAlias", "DeleteAlias", "UpdateAlias"}:
        alias = str(params.get("AliasName", ""))
        asks.append(Ask(f"kms:{call.action}", call.arn(alias), own))
        named.extend([alias] if call.action == "DeleteAlias" else [])
    if call.action == "ReEncrypt":
        source = keys.find(call.region, named.pop())
        target = keys.find(call.region, str(params.get("DestinationKeyId", "")))
        return [
            source.ask(call, "ReEncryptFrom", own, params.get("SourceEncryptionContext") or {}),
            target.ask(call, "ReEncryptTo", own, params.get("DestinationEncryptionContext") or {}),
        ]
    found = [keys.find(call.region, name) for name in named]
    asks.extend(key.ask(call, call.action, own, encryption_context) for key in found)
    return asks or [Ask(f"kms:{call.action}", "*", own)]


def _sqs(call: Call, context: Context) -> list[Ask]:
    queue = str(call.params.get("QueueName") or str(call.params.get("QueueUrl", "")).rpartition("/")[2])
    return [Ask(f"sqs:{call.action}", call.arn(queue) if queue else "*", context)]


_IAM_RESOURCES = (
    ("PolicyArn", "{}"),
    ("InstanceProfileName", "instance-profile/{}"),
    ("RoleName", "role/{}"),
    ("UserName", "user/{}"),
    ("GroupName", "group/{}"),
)


def _iam(call: Call, context: Context) -> list[Ask]:
    params = call.params
    attaching = call.action.startswith(("Attach", "Detach"))
    named = [
        name if name.startswith("arn:") else iam_arn(form.format(name))
        for field, form in _IAM_RESOURCES
        if (name := str(params.get(field, ""))) and not (field == "PolicyArn" and attaching)
    ]
    asks = [Ask(f"iam:{call.action}", named[0] if named else "*", context)]
    if call.action == "AddRoleToInstanceProfile":
        passing = context | {"iam:passedtoservice": ("ec2.amazonaws.com",)}
        asks.append(Ask("iam:PassRole", iam_arn(f"role/{params.get('RoleName', '')}"), passing))
    return asks


def iam_arn(resource: str) -> str:
    """The ARN of an IAM thing by kind and name; one that exists under a path is named with its path."""
    kind, _, name = resource.partition("/")
    model = world.backend("iam")
    shelves = {"role": model.roles, "user": model.users, "instance-profile": model.instance_profiles}
    for one in shelves.get(kind, {}).values():
        if one.name == name:
            return str(one.arn)
    return f"arn:aws:iam::{world.ACCOUNT_ID}:{resource}"


def _strings(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(one) for one in value]
    return [] if value is None else [str(value)]


def _tag_context(tags: Any, key_name: str, value_name: str) -> Context:
    if not isinstance(tags, list) or not tags:
        return {}
    pairs = {str(tag[key_name]): str(tag.get(value_name, "")) for tag in tags}
    return {f"aws:requesttag/{key.lower()}": (value,) for key, value in pairs.items()} | {
        "aws:tagkeys": tuple(pairs)
    }
