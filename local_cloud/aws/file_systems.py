"""EFS: reading its requests, what they ask of the policies, and where moto's answer differs from EFS's.

Offered are file systems, access points and their tags; mount targets are not, as nothing here can be mounted. moto forgets
client tokens of access points, pages none, and makes them on file systems that do not exist.
Sources: the EFS API reference; "Actions, resources, and condition keys for Amazon Elastic File System".
"""

import base64
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from local_cloud.aws import world
from local_cloud.aws.policies import Ask
from local_cloud.aws.sigv4 import Claim
from local_cloud.aws.wire import AwsAnswer, AwsRequest, RefusedError, json_answer
from local_cloud.aws.world import Call

Context = dict[str, tuple[str, ...]]

_VERSION = "/2015-02-01"
# Method, path, and the parameter that the path ends with.
_ACTIONS: dict[tuple[str, str], tuple[str, str]] = {
    ("POST", "file-systems"): ("CreateFileSystem", ""),
    ("GET", "file-systems"): ("DescribeFileSystems", ""),
    ("DELETE", "file-systems/*"): ("DeleteFileSystem", "FileSystemId"),
    ("POST", "access-points"): ("CreateAccessPoint", ""),
    ("GET", "access-points"): ("DescribeAccessPoints", ""),
    ("DELETE", "access-points/*"): ("DeleteAccessPoint", "AccessPointId"),
    ("GET", "resource-tags/*"): ("ListTagsForResource", "ResourceId"),
    ("POST", "resource-tags/*"): ("TagResource", "ResourceId"),
    ("DELETE", "resource-tags/*"): ("UntagResource", "ResourceId"),
}
_LARGEST_PAGE = 1000


def read_call(request: AwsRequest, claim: Claim) -> Call:
    """Name the action by method and path, and read the parameters from path, query and body.

    Raises RefusedError: no action that is offered, or a body that is not a JSON object.
    """
    path = unquote(request.raw_path).removeprefix(_VERSION).strip("/")
    shelf, _, name = path.partition("/")
    action, field = _ACTIONS.get((request.method, f"{shelf}/*" if name else shelf), ("", ""))
    if not action or not request.raw_path.startswith(f"{_VERSION}/") or not re.fullmatch(r"[\w:./-]*", name):
        raise RefusedError(
            "The local cloud offers file systems, access points and tags of EFS.", code="UnsupportedOperation"
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
    """The action on the file systems and access points it names; tags given at once ask for TagResource too."""
    tags = {str(tag["Key"]): str(tag.get("Value", "")) for tag in call.params.get("Tags") or ()}
    own = context | {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    if tags:
        own["aws:tagkeys"] = tuple(tags)
    named = (
        call.params.get("ResourceId") or call.params.get("AccessPointId") or call.params.get("FileSystemId")
    )
    made = {"CreateFileSystem": "file-system/*", "CreateAccessPoint": "access-point/*"}.get(call.action)
    name = f"elasticfilesystem:{call.action}"
    if named:
        asks = [Ask(name, _arn(call, str(named)), own | _resource_tags(call, str(named)))]
    else:
        asks = [Ask(name, call.arn(made) if made else "*", own)]
    if made and tags:
        tagging = own | {"elasticfilesystem:createaction": (call.action,)}
        asks.append(Ask("elasticfilesystem:TagResource", call.arn(made), tagging))
    return asks


def answer(call: Call) -> AwsAnswer | None:
    """An answer that needs no more of moto.

    Raises RefusedError: what EFS refuses and moto does not.
    """
    model = world.backend("efs", call.region)
    params = call.params
    if call.action == "CreateAccessPoint":
        _require_file_system(model, params.get("FileSystemId"))
        token = params.get("ClientToken")
        same = next((one for one in model.access_points.values() if one.client_token == token), None)
        if same is not None:
            raise RefusedError(
                f"The client token was used for {same.access_point_id}.",
                code="AccessPointAlreadyExists",
                status=409,
            )
    if call.action == "DeleteFileSystem" and any(
        one.file_system_id == params["FileSystemId"] for one in model.access_points.values()
    ):
        raise RefusedError("The file system has access points.", code="FileSystemInUse", status=409)
    if call.action in {"DeleteAccessPoint", "DescribeAccessPoints"} and params.get("AccessPointId"):
        named = str(params["AccessPointId"]).rpartition("/")[2]
        if named not in model.access_points:
            raise RefusedError(
                f"Access point {named} does not exist.", code="AccessPointNotFound", status=404
            )
    return _access_points(model, params) if call.action == "DescribeAccessPoints" else None


def _access_points(model: Any, params: dict[str, Any]) -> AwsAnswer:
    file_system_id, access_point_id = params.get("FileSystemId"), params.get("AccessPointId")
    if file_system_id:
        _require_file_system(model, file_system_id)
    wanted = str(params.get("MaxResults", 100))
    if not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= _LARGEST_PAGE):
        raise RefusedError(f"MaxResults is from 1 to {_LARGEST_PAGE}.", code="BadRequest")
    found = sorted(
        (
            one
            for one in model.access_points.values()
            if file_system_id in {None, one.file_system_id} and access_point_id in {None, one.access_point_id}
        ),
        key=lambda one: str(one.access_point_id),
    )
    after = _read_token(params.get("NextToken"))
    rest = [one for one in found if one.access_point_id > after]
    page = rest[: int(wanted)]
    shown: dict[str, Any] = {"AccessPoints": [one.info_json() for one in page]}
    if len(rest) > len(page):
        shown["NextToken"] = base64.urlsafe_b64encode(page[-1].access_point_id.encode()).decode()
    return json_answer(shown, content_type="application/json")


def _read_token(token: Any) -> str:
    if not token:
        return ""
    try:
        return base64.urlsafe_b64decode(str(token).encode()).decode()
    except ValueError:
        raise RefusedError("The token is not one this service gave.", code="BadRequest") from None


def _require_file_system(model: Any, file_system_id: Any) -> None:
    if file_system_id not in model.file_systems_by_id:
        raise RefusedError(
            f"File system '{file_system_id}' does not exist.", code="FileSystemNotFound", status=404
        )


def _arn(call: Call, named: str) -> str:
    if named.startswith("arn:"):
        return named
    kind = "access-point" if named.startswith("fsap-") else "file-system"
    return call.arn(f"{kind}/{named}")


def _resource_tags(call: Call, named: str) -> Context:
    model = world.backend("efs", call.region)
    tags = model.list_tags_for_resource(named.rpartition("/")[2])
    return {f"aws:resourcetag/{tag['Key'].lower()}": (str(tag["Value"]),) for tag in tags}
