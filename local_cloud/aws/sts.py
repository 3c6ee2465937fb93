"""STS, answered in full by this package, and the credentials of instances.

Sources: the STS API reference (AssumeRole, GetCallerIdentity) and "Passing session tags in AWS STS".
"""

import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from local_cloud.aws import policies, world
from local_cloud.aws.identities import (
    Identities,
    Identity,
    Session,
    find_role,
    managed_document,
    new_access_key,
)
from local_cloud.aws.policies import Ask, Verdict
from local_cloud.aws.wire import AwsAnswer, Fault, RefusedError, json_answer, query_answer
from local_cloud.aws.world import Call

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
MAX_POLICY_CHARACTERS = 2048
INSTANCE_CREDENTIALS_S = 6 * 3600
_ACCOUNT_ROOT = f"arn:aws:iam::{world.ACCOUNT_ID}:root"
_ROLE_ARN = re.compile(rf"arn:aws:iam::{world.ACCOUNT_ID}:role/(?:[\w+=,.@/-]*/)?([\w+=,.@-]{{1,64}})")


def get_caller_identity(call: Call, caller: Identity) -> AwsAnswer:
    result = {"Arn": caller.arn, "UserId": caller.user_id, "Account": world.ACCOUNT_ID}
    as_json = "application/json" in call.request.headers.get("accept", "")
    return query_answer("GetCallerIdentity", NAMESPACE, result, as_json=as_json)


def assume_role(call: Call, caller: Identity, identities: Identities, now: datetime) -> AwsAnswer:
    """Check the trust policy and the caller's own policies, then open a session.

    Raises RefusedError: not allowed, no such role (which looks the same), or a parameter AWS would not take.
    """
    params = call.params
    if caller.kind == "root":
        raise RefusedError("Roles may not be assumed by root accounts.", fault=Fault.NOT_ALLOWED)
    role_arn, session_name = params.get("RoleArn", ""), params.get("RoleSessionName", "")
    if not re.fullmatch(r"[\w+=,.@-]{2,64}", session_name):
        raise _invalid("RoleSessionName must be 2 to 64 letters, digits or _+=,.@-")
    tags, transitive = _tags(params, caller)
    match = _ROLE_ARN.fullmatch(role_arn)
    role = find_role(match[1]) if match else None
    context = caller.context(call.region) | _session_context(params, tags, transitive)
    for action in ("sts:AssumeRole", "sts:TagSession") if tags or transitive else ("sts:AssumeRole",):
        _require_trusted(role, Ask(action, role_arn, context), caller)
    session_policies = _session_policies(params)
    longest_s = 3600 if caller.kind == "role" else int(role.max_session_duration or 3600)  # type: ignore[union-attr]
    duration_s = _whole_number(params.get("DurationSeconds", "3600"))
    if not 900 <= duration_s <= longest_s:
        raise _invalid(
            "The requested DurationSeconds is not between 900 and the MaxSessionDuration of this role."
        )
    session = _new_session(
        role_name=role.name,  # type: ignore[union-attr]
        name=session_name,
        expires_at=now.replace(microsecond=0) + timedelta(seconds=duration_s),
        policies=session_policies,
        tags={**caller.transitive_tags, **tags},
        transitive_tag_keys=frozenset((*caller.transitive_tags, *transitive)),
        source=caller.arn,
    )
    identities.open_session(session)
    assumed = identities.identify(session.access_key_id, now)
    result = {
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "SessionToken": session.session_token,
            "Expiration": _iso(session.expires_at),
        },
        "AssumedRoleUser": {"AssumedRoleId": assumed.user_id, "Arn": assumed.arn},
        "PackedPolicySize": 100 * sum(map(len, session_policies)) // MAX_POLICY_CHARACTERS,
    }
    return query_answer("AssumeRole", NAMESPACE, result)


def mint_instance_credentials(
    body: bytes, caller: Identity, identities: Identities, now: datetime
) -> AwsAnswer:
    """The credentials an instance's metadata service hands out, in its format; for the VM simulator.

    The body is `{"RoleName": ..., "InstanceId": ...}`. EC2's own rules hold: the instance runs, its instance profile
    carries the role, and the role trusts `ec2.amazonaws.com`.

    Raises RefusedError: a caller other than root, or one of those rules.
    """
    if caller.kind != "root":
        raise RefusedError("Only the account's root may mint instance credentials.", fault=Fault.NOT_ALLOWED)
    try:
        wanted = json.loads(body)
        role_name, instance_id = str(wanted["RoleName"]), str(wanted["InstanceId"])
    except (ValueError, KeyError, TypeError):
        raise _invalid("RoleName and InstanceId are needed.") from None
    role = find_role(role_name)
    if role is None or not _runs_with(role, instance_id):
        raise _invalid("No running instance of this id carries this role in its instance profile.")
    trust = policies.parse(role.assume_role_policy_document)
    ask = Ask("sts:AssumeRole", role.arn)
    trusted = policies.evaluate_trust(
        trust, ask, callers={"Service": "ec2.amazonaws.com"}, account_root=_ACCOUNT_ROOT
    )
    if trusted.verdict is not Verdict.ALLOWED:
        raise RefusedError("The role does not trust ec2.amazonaws.com.", fault=Fault.NOT_ALLOWED)
    session = _new_session(
        role_name=role.name,
        name=instance_id,
        expires_at=now.replace(microsecond=0) + timedelta(seconds=INSTANCE_CREDENTIALS_S),
        source=f"EC2 instance {instance_id}",
    )
    identities.open_session(session)
    return json_answer(
        {
            "Code": "Success",
            "LastUpdated": _iso(now),
            "Type": "AWS-HMAC",
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "Expiration": _iso(session.expires_at),
        },
        content_type="application/json",
    )


def _new_session(**facts: Any) -> Session:
    key = new_access_key("ASIA")
    return Session(key.access_key_id, key.secret_access_key, secrets.token_urlsafe(192), **facts)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _invalid(message: str) -> RefusedError:
    return RefusedError(message, code="ValidationError")


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _invalid("DurationSeconds must be a whole number.")
    return int(text)


def _require_trusted(role: Any | None, ask: Ask, caller: Identity) -> None:
    """The role's trust policy must allow; the caller's own policies too unless it names the caller itself."""
    refused = RefusedError(
        f"User: {caller.arn} is not authorized to perform: {ask.action} on resource: {ask.resource}",
        fault=Fault.NOT_ALLOWED,
    )
    if role is None:
        raise refused
    names = {"AWS": f"{caller.arn} {caller.principal_arn}"}
    try:
        trust = policies.parse(role.assume_role_policy_document)
    except policies.MalformedPolicyError:
        raise refused from None
    trusted = policies.evaluate_trust(trust, ask, callers=names, account_root=_ACCOUNT_ROOT)
    own = caller.verdict(ask)
    enough_by_itself = trusted.names_the_caller and own is not Verdict.DENIED and not caller.boundaries
    if trusted.verdict is not Verdict.ALLOWED or not (own is Verdict.ALLOWED or enough_by_itself):
        raise refused


def _numbered(params: dict[str, str], prefix: str) -> list[str]:
    """`prefix.member.N` values in the order of N, as the query protocol writes lists."""
    found = {
        int(m[1]): params[name]
        for name in params
        if (m := re.fullmatch(re.escape(prefix) + r"\.member\.(\d+)", name))
    }
    return [found[number] for number in sorted(found)]


def _tags(params: dict[str, str], caller: Identity) -> tuple[dict[str, str], list[str]]:
    numbers = sorted(int(m[1]) for name in params if (m := re.fullmatch(r"Tags\.member\.(\d+)\.Key", name)))
    keys = [params[f"Tags.member.{number}.Key"] for number in numbers]
    tags = {params[f"Tags.member.{n}.Key"]: params.get(f"Tags.member.{n}.Value", "") for n in numbers}
    if len({key.lower() for key in keys}) != len(keys) or len(keys) > 50:
        raise _invalid("Session tags must have different keys, at most 50.")
    if {key.lower() for key in keys} & {key.lower() for key in caller.transitive_tags}:
        raise _invalid("A transitive session tag cannot be set again.")
    if any(not 1 <= len(key) <= 128 or len(value) > 256 for key, value in tags.items()):
        raise _invalid("A session tag's key holds 1 to 128 characters, its value at most 256.")
    transitive = _numbered(params, "TransitiveTagKeys")
    if not set(transitive) <= set(tags):
        raise _invalid("TransitiveTagKeys may name only the keys of the tags that are passed.")
    return tags, transitive


def _session_context(
    params: dict[str, str], tags: dict[str, str], transitive: list[str]
) -> dict[str, tuple[str, ...]]:
    context: dict[str, tuple[str, ...]] = {
        f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()
    }
    context["sts:rolesessionname"] = (params["RoleSessionName"],)
    if tags:
        context["aws:tagkeys"] = tuple(tags)
    if transitive:
        context["sts:transitivetagkeys"] = tuple(transitive)
    if "ExternalId" in params:
        context["sts:externalid"] = (params["ExternalId"],)
    return context


def _session_policies(params: dict[str, str]) -> tuple[str, ...]:
    documents: list[str] = []
    if "Policy" in params:
        if len(params["Policy"]) > MAX_POLICY_CHARACTERS:
            raise RefusedError(
                "The session policy is larger than 2048 characters.", code="PackedPolicyTooLarge"
            )
        documents.append(params["Policy"])
    arns = [arn for name, arn in params.items() if re.fullmatch(r"PolicyArns\.member\.\d+\.arn", name)]
    if len(arns) > 10:
        raise _invalid("At most 10 PolicyArns may be given.")
    for arn in arns:
        document = managed_document(arn)
        if document is None:
            raise _invalid(f"The policy {arn} does not exist.")
        documents.append(document)
    try:
        for document in documents:
            policies.parse(document)
    except policies.MalformedPolicyError as error:
        raise RefusedError(str(error), code="MalformedPolicyDocument") from error
    return tuple(documents)


def _runs_with(role: Any, instance_id: str) -> bool:
    for region in world.regions("ec2"):
        model = world.backend("ec2", region)
        instance = next((one for one in model.all_instances() if one.id == instance_id), None)
        if instance is None or instance.state != "running":
            continue
        association = model.iam_instance_profile_associations.values()
        profiles = [one.iam_instance_profile for one in association if one.instance.id == instance_id]
        return any(role.name == carried.name for profile in profiles for carried in profile.roles)
    return False
