"""IAM policy evaluation: identity, boundary, session and trust policies.

Source: "Policy evaluation logic" in AWS's IAM documentation. The order is AWS's: an explicit Deny anywhere refuses;
otherwise every set of policies that applies must allow.
"""

import enum
import functools
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_cloud.aws.conditions import (
    Context,
    UnresolvedError,
    UnsupportedError,
    action_matches,
    holds,
    pattern,
)

log = logging.getLogger("local_cloud.aws")

_ELEMENTS = {
    "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition",
}  # fmt: skip


class Verdict(enum.Enum):
    ALLOWED = "allowed"
    DENIED = "denied"
    SILENT = "silent"


class MalformedPolicyError(ValueError):
    """A policy document that is not a policy."""


@dataclass(frozen=True)
class Ask:
    """One question: may `action` be done to `resource` (an ARN or `*`) in this context?"""

    action: str
    resource: str
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def service(self) -> str:
        return self.action.partition(":")[0]


@dataclass(frozen=True)
class Statement:
    allows: bool
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    principals: Mapping[str, tuple[str, ...]] | None
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]


Policy = tuple[Statement, ...]


@functools.lru_cache(maxsize=4096)
def parse(document: str) -> Policy:
    """Raises MalformedPolicyError: the document is not a policy this evaluator can read whole."""
    try:
        content = json.loads(document)
        statements = content["Statement"]
        return tuple(
            _statement(one) for one in (statements if isinstance(statements, list) else [statements])
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedPolicyError(f"not a policy document: {error}") from error


def evaluate(policies: Iterable[Policy], ask: Ask) -> Verdict:
    """The verdict of one set of policies; a Deny wins over any Allow."""
    verdict = Verdict.SILENT
    for statement in (one for policy in policies for one in policy):
        if not _applies(statement, ask, with_resource=True):
            continue
        if not statement.allows:
            return Verdict.DENIED
        verdict = Verdict.ALLOWED
    return verdict


@dataclass(frozen=True)
class TrustVerdict:
    verdict: Verdict
    names_the_caller: bool = False
    """The Allow names the caller itself, not only its account; then no identity policy is needed."""


def evaluate_trust(
    policy: Policy, ask: Ask, *, callers: Mapping[str, str], account_root: str
) -> TrustVerdict:
    """What a role's trust policy says to a caller.

    `callers` maps a principal type ("AWS", "Service") to names, the most exact the caller goes by, joined by spaces.
    """
    verdict = TrustVerdict(Verdict.SILENT)
    accounts = {account_root, account_root.split(":")[4]}
    for statement in policy:
        by_name = _names(statement, callers)
        by_account = "AWS" in callers and bool(accounts.intersection(_principals(statement, "AWS")))
        if not (by_name or by_account) or not _applies(statement, ask, with_resource=False):
            continue
        if not statement.allows:
            return TrustVerdict(Verdict.DENIED)
        verdict = TrustVerdict(Verdict.ALLOWED, verdict.names_the_caller or by_name)
    return verdict


def _principals(statement: Statement, kind: str) -> tuple[str, ...]:
    return (statement.principals or {}).get(kind, ())


def _names(statement: Statement, callers: Mapping[str, str]) -> bool:
    for kind, names in callers.items():
        listed = _principals(statement, kind)
        if (kind == "AWS" and "*" in listed) or set(names.split()).intersection(listed):
            return True
    return False


def _applies(statement: Statement, ask: Ask, *, with_resource: bool) -> bool:
    """What cannot be understood counts for a Deny and against an Allow."""
    try:
        return (
            _action_applies(statement, ask)
            and (not with_resource or _resource_applies(statement, ask))
            and all(
                holds(operator, key, values, ask.context, ask.service)
                for operator, key, values in statement.conditions
            )
        )
    except UnsupportedError as unsupported:
        effect = "an Allow does not" if statement.allows else "a Deny does"
        log.warning("policy for %s uses unsupported %s: %s apply", ask.action, unsupported, effect)
        return not statement.allows


def _action_applies(statement: Statement, ask: Ask) -> bool:
    if statement.not_actions:
        return not any(action_matches(one, ask.action) for one in statement.not_actions)
    return any(action_matches(one, ask.action) for one in statement.actions)


def _resource_applies(statement: Statement, ask: Ask) -> bool:
    if statement.not_resources:
        return not any(_resource_matches(one, ask) for one in statement.not_resources)
    return any(_resource_matches(one, ask) for one in statement.resources)


def _resource_matches(template: str, ask: Ask) -> bool:
    context: Context = ask.context
    try:
        return pattern(template, context, ask.service, wildcards=True).fullmatch(ask.resource) is not None
    except UnresolvedError:
        return False


def _statement(content: dict[str, Any]) -> Statement:
    unknown = set(content).difference(_ELEMENTS)
    if unknown or content["Effect"] not in {"Allow", "Deny"}:
        raise MalformedPolicyError(f"unknown element or effect: {sorted(unknown)}")
    if "NotPrincipal" in content:
        raise MalformedPolicyError("NotPrincipal is not supported")
    actions, not_actions = _texts(content.get("Action", [])), _texts(content.get("NotAction", []))
    if bool(actions) == bool(not_actions):
        raise MalformedPolicyError("exactly one of Action and NotAction is needed")
    principals = content.get("Principal")
    if principals == "*":
        principals = {"AWS": "*"}
    return Statement(
        allows=content["Effect"] == "Allow",
        actions=actions,
        not_actions=not_actions,
        resources=_texts(content.get("Resource", [])),
        not_resources=_texts(content.get("NotResource", [])),
        principals=None
        if principals is None
        else {kind: _texts(names) for kind, names in principals.items()},
        conditions=tuple(
            (operator, key, _texts(values))
            for operator, block in content.get("Condition", {}).items()
            for key, values in block.items()
        ),
    )


def _texts(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    texts = tuple(str(one).lower() if isinstance(one, bool) else one for one in items)
    if not all(isinstance(one, str) for one in texts):
        raise MalformedPolicyError("a string or a list of strings was expected")
    return texts
