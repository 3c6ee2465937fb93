"""EFS: reading its requests, what they ask of the policies, and where moto's answer differs from EFS's.

Offered are file systems, their policies, mount targets and tags; nothing of it can be mounted here. moto
asks nobody whether a mount target's network interface may be made, and takes any text for a policy.
Sources: the EFS API reference; "Actions, resources, and condition keys for Amazon Elastic File System".
"""

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from local_cloud.aws import asks_ec2, world
from local_cloud.aws.policies import Ask
from local_cloud.aws.sigv4 import Claim
from local_cloud.aws.wire import AwsAnswer, AwsRequest, RefusedError
from local_cloud.aws.world import Call

Context = dict[str, tuple[str, ...]]

_VERSION = "/2015-02-01"
# Method, path, and the parameter that stands in the path.
_ACTIONS: dict[tuple[str, str], tuple[str, str]] = {
    ("POST", "file-systems"): ("CreateFileSystem", ""),
    ("GET", "file-systems"): ("DescribeFileSystems", ""),
    ("DELETE", "file-systems/*"): ("DeleteFileSystem", "FileSystemId"),
    ("GET", "file-systems/*/policy"): ("DescribeFileSystemPolicy", "FileSystemId"),
    ("PUT", "file-systems/*/policy"): ("PutFileSystemPolicy", "FileSystemId"),
    ("POST", "mount-targets"): ("CreateMountTarget", ""),
    ("GET", "mount-targets"): ("DescribeMountTargets", ""),
    ("DELETE", "mount-targets/*"): ("DeleteMountTarget", "MountTargetId"),
    ("GET", "mount-targets/*/security-groups"): ("DescribeMountTargetSecurityGroups", "MountTargetId"),
    ("GET", "resource-tags/*"): ("ListTagsForResource", "ResourceId"),
    ("POST", "resource-tags/*"): ("TagResource", "ResourceId"),
    ("DELETE", "resource-tags/*"): ("UntagResource", "ResourceId"),
}
# What a path can end with after a name.
_WITHIN = ("policy", "security-groups")


def read_call(request: AwsRequest, claim: Claim) -> Call:
    """Name the action by method and path, and read the parameters from path, query and body.

    Raises RefusedError: no action that is offered, or a body that is not a JSON object.
    """
    path = unquote(request.raw_path).removeprefix(_VERSION).strip("/")
    shelf, _, name = path.partition("/")
    above, _, last = name.rpartition("/")
    name, within = (above, f"/{last}") if above and last in _WITHIN else (name, "")
    action, field = _ACTIONS.get((request.method, f"{shelf}/*{within}" if name else shelf), ("", ""))
    if not action or not request.raw_path.startswith(f"{_VERSION}/") or not re.fullmatch(r"[\w:./-]*", name):
        raise RefusedError(
            "The local cloud offers file systems, their policies, mount targets and tags of EFS.",
            code="UnsupportedOperation",
        )
    pairs = parse_qsl(request.raw_query, keep_blank_values=True)
    try:
        body: Any = json.loads(request.body or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise RefusedError("The request body is not a JSON object.", code="BadRequest")
    params = {**dict(pairs), **body, **({field: name} if field else {})}
    # moto is to read no more than what was read here.
    plain = replace(
        request,
        raw_path=f"{_VERSION}/{path}",
        raw_query=urlencode(pairs),
        headers=request.headers | {"content-type": "application/json"},
        body=json.dumps(body).encode() if body else b"",
    )
    return Call("elasticfilesystem", claim.region, action, params, plain)


def asks_for(call: Call, context: Context) -> list[Ask]:
    """The action on the file system it names; tags given at once, and network interfaces, ask for what makes them too."""
    params = call.params
    tags = {str(tag["Key"]): str(tag.get("Value", "")) for tag in params.get("Tags") or ()}
    own = context | {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    if tags:
        own["aws:tagkeys"] = tuple(tags)
    name = f"elasticfilesystem:{call.action}"
    if call.action == "CreateFileSystem":
        own["elasticfilesystem:encrypted"] = (str(bool(params.get("Encrypted"))).lower(),)
        asks = [Ask(name, call.arn("file-system/*"), own)]
        if tags:
            tagging = own | {"elasticfilesystem:createaction": (call.action,)}
            asks.append(Ask("elasticfilesystem:TagResource", call.arn("file-system/*"), tagging))
        return asks
    named = _file_system_of(call)
    asks = [
        Ask(name, call.arn(f"file-system/{named}"), own | _resource_tags(call, named))
        if named
        else Ask(name, "*", own)
    ]
    if call.action == "CreateMountTarget":
        asks += asks_ec2.of_network_interface(
            call, str(params.get("SubnetId")), params.get("SecurityGroups") or (), context
        )
    return asks


def answer(call: Call) -> AwsAnswer | None:
    """An answer that needs no more of moto.

    Raises RefusedError: what EFS refuses and moto does not.
    """
    model = world.backend("efs", call.region)
    file_system = call.params.get("FileSystemId")
    if file_system and file_system not in model.file_systems_by_id:
        raise RefusedError(
            f"File system '{file_system}' does not exist.", code="FileSystemNotFound", status=404
        )
    if call.action == "CreateFileSystem" and call.params.get("CreationToken") in model.creation_tokens:
        raise RefusedError(
            "There is a file system by this creation token.", code="FileSystemAlreadyExists", status=409
        )
    if call.action == "PutFileSystemPolicy":
        try:
            json.loads(str(call.params.get("Policy")))
        except ValueError:
            raise RefusedError("The policy is not JSON.", code="InvalidPolicyException") from None
    return None


def _file_system_of(call: Call) -> str:
    """The id of the file system that a call is about; empty where it names none."""
    params = call.params
    target = world.backend("efs", call.region).mount_targets_by_id.get(params.get("MountTargetId"))
    if target is not None:
        return str(target.file_system_id)
    return str(params.get("FileSystemId") or params.get("ResourceId") or "").rpartition("/")[2]


def _resource_tags(call: Call, named: str) -> Context:
    tags = world.backend("efs", call.region).list_tags_for_resource(named)
    return {f"aws:resourcetag/{tag['Key'].lower()}": (str(tag["Value"]),) for tag in tags}
