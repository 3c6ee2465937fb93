"""What an S3 request asks of the policies, and the name of its action, which S3 writes in method and query string."""

import re
from urllib.parse import parse_qsl, unquote

import xmltodict  # type: ignore[import-untyped]

from local_cloud.aws.policies import Ask
from local_cloud.aws.wire import AwsRequest, Fault, RefusedError
from local_cloud.aws.world import Call

Context = dict[str, tuple[str, ...]]

_BUCKET_PARTS = {
    "acl": "BucketAcl", "cors": "BucketCORS", "encryption": "EncryptionConfiguration",
    "lifecycle": "LifecycleConfiguration", "location": "BucketLocation", "logging": "BucketLogging",
    "object-lock": "BucketObjectLockConfiguration", "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy", "publicAccessBlock": "BucketPublicAccessBlock", "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
}  # fmt: skip
_OBJECT_PARTS = {
    "acl": "ObjectAcl",
    "legal-hold": "ObjectLegalHold",
    "retention": "ObjectRetention",
    "tagging": "ObjectTagging",
}
_DESCRIBING = {
    "attributes", "continuation-token", "delimiter", "encoding-type", "fetch-owner", "key-marker", "list-type", "marker",
    "max-keys", "partNumber", "prefix", "start-after", "version-id-marker", "versionId", "x-id",
}  # fmt: skip
_HEADER_ASKS = {
    "x-amz-object-lock-mode": "PutObjectRetention",
    "x-amz-object-lock-retain-until-date": "PutObjectRetention",
    "x-amz-object-lock-legal-hold": "PutObjectLegalHold",
    "x-amz-tagging": "PutObjectTagging",
    "x-amz-acl": "PutObjectAcl",
}
_VERBS = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "DELETE": "Delete"}


def query(request: AwsRequest) -> dict[str, str]:
    return dict(parse_qsl(request.raw_query, keep_blank_values=True))


def action_of(request: AwsRequest) -> str:
    """The IAM action of a request. Raises RefusedError: one this endpoint does not know."""
    bucket, key = place(request)
    parts = {
        name
        for name in query(request)
        if name not in _DESCRIBING and not name.lower().startswith(("x-amz-", "response-"))
    }
    verb = _VERBS.get(request.method)
    if not bucket:
        return "ListAllMyBuckets"
    if key:
        return _object_action(request, verb, parts)
    if not parts:
        return {
            "GET": "ListBucket",
            "HEAD": "ListBucket",
            "PUT": "CreateBucket",
            "DELETE": "DeleteBucket",
        }.get(request.method, "") or _unknown(request)
    if request.method == "POST" and parts == {"delete"}:
        return "DeleteObject"
    if request.method == "GET" and parts <= {"versions", "uploads"}:
        return "ListBucketVersions" if "versions" in parts else "ListBucketMultipartUploads"
    if verb and len(parts) == 1 and (name := _BUCKET_PARTS.get(min(parts))):
        return f"{'Put' if verb == 'Delete' and name != 'BucketPolicy' else verb}{name}"
    return _unknown(request)


def place(request: AwsRequest) -> tuple[str, str]:
    """Bucket and key; either may be empty. Only path-style addresses are served."""
    bucket, _, key = unquote(request.raw_path).lstrip("/").partition("/")
    return bucket, key


def asks_for(call: Call, context: Context) -> list[Ask]:
    request = call.request
    bucket, key = place(request)
    bucket_arn = f"arn:aws:s3:::{bucket}"
    own = dict(context)
    fields = query(request)
    if "prefix" in fields:
        own["s3:prefix"] = (fields["prefix"],)
    if mode := request.headers.get("x-amz-object-lock-mode"):
        own["s3:object-lock-mode"] = (mode,)
    if not bucket:
        return [Ask("s3:ListAllMyBuckets", "*", own)]
    if not key and call.action != "DeleteObject":
        return [Ask(f"s3:{call.action}", bucket_arn, own)]
    actions = [call.action]
    if request.method == "PUT":
        actions.extend(action for header, action in _HEADER_ASKS.items() if header in request.headers)
    if request.headers.get("x-amz-bypass-governance-retention", "").lower() == "true":
        actions.append("BypassGovernanceRetention")
    keys = [key] if key else _keys_to_delete(request)
    asks = [
        Ask(f"s3:{action}", f"{bucket_arn}/{one}", own) for one in keys for action in dict.fromkeys(actions)
    ]
    if not key:
        asks.extend(Ask("s3:DeleteObjectVersion", f"{bucket_arn}/{one}", own) for one in keys)
    if source := request.headers.get("x-amz-copy-source"):
        asks.append(Ask("s3:GetObject", f"arn:aws:s3:::{unquote(source).partition('?')[0].lstrip('/')}", own))
    return asks


def _object_action(request: AwsRequest, verb: str | None, parts: set[str]) -> str:
    if parts & {"uploads", "uploadId"}:
        return {"GET": "ListMultipartUploadParts", "DELETE": "AbortMultipartUpload"}.get(
            request.method, "PutObject"
        )
    versioned = "Version" if "versionId" in query(request) and verb != "Put" else ""
    if verb and len(parts) == 1 and (name := _OBJECT_PARTS.get(min(parts))):
        return f"{verb}{name}"
    if verb and not parts:
        return f"{verb}Object{versioned}"
    return _unknown(request)


def _keys_to_delete(request: AwsRequest) -> list[str]:
    try:
        objects = xmltodict.parse(request.body, force_list=("Object",))["Delete"]["Object"]
        return [str(one["Key"]) for one in objects]
    except Exception as error:
        raise RefusedError(
            "The list of objects to delete is not well formed.", code="MalformedXML"
        ) from error


def _unknown(request: AwsRequest) -> str:
    named = ", ".join(re.sub(r"[^\w-]", "?", name) for name in query(request))
    raise RefusedError(
        f"The local cloud does not know this S3 request: {request.method} {named}", fault=Fault.NOT_ALLOWED
    )
