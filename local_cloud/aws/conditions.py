"""The Condition block of an IAM policy statement.

Source: "IAM JSON policy elements: Condition operators" and "Creating a condition with multiple keys or values" in
AWS's IAM documentation. What is not known here raises UnsupportedError, and the evaluator then fails closed.
"""

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence

Context = Mapping[str, tuple[str, ...]]
"""Condition keys in lower case, each with its values; a key that does not apply to the request is absent."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERAL_VARIABLES = {"*", "?", "$"}

_KNOWN_KEYS: dict[str, frozenset[str]] = {
    "": frozenset({
        "aws:principalaccount", "aws:principalarn", "aws:principaltype", "aws:requestedregion", "aws:tagkeys",
        "aws:userid", "aws:username",
    }),
    "ec2": frozenset({"ec2:createaction", "ec2:encrypted"}),
    "elasticfilesystem": frozenset({"elasticfilesystem:createaction", "elasticfilesystem:encrypted"}),
    "iam": frozenset({"iam:passedtoservice"}),
    "kms": frozenset({"aws:resourceaccount", "kms:encryptioncontextkeys", "kms:requestalias", "kms:resourcealiases", "kms:viaservice"}),
    "s3": frozenset({"s3:object-lock-mode", "s3:prefix"}),
    "sts": frozenset({"sts:externalid", "sts:rolesessionname", "sts:transitivetagkeys"}),
}  # fmt: skip
_KNOWN_PREFIXES: dict[str, tuple[str, ...]] = {
    "": ("aws:principaltag/", "aws:requesttag/"),
    "ec2": ("aws:resourcetag/", "ec2:resourcetag/"),
    "elasticfilesystem": ("aws:resourcetag/",),
    "kms": ("aws:resourcetag/", "kms:encryptioncontext:"),
}


class UnsupportedError(Exception):
    """A policy uses something this evaluator does not know."""


class UnresolvedError(Exception):
    """A policy variable names a key that the request does not carry: the element cannot match."""


def require_known(key: str, service: str) -> None:
    """Raises UnsupportedError: the endpoint never fills this key for requests to `service`."""
    for owner in ("", service):
        if key in _KNOWN_KEYS.get(owner, frozenset()) or key.startswith(
            _KNOWN_PREFIXES.get(owner, ()) or "\0"
        ):
            return
    raise UnsupportedError(f"condition key {key}")


def pattern(template: str, context: Context, service: str, *, wildcards: bool) -> re.Pattern[str]:
    """Compile a policy string; the value of a variable is matched literally, whatever it contains.

    Raises UnresolvedError, UnsupportedError.
    """
    parts: list[str] = []
    end = 0
    for match in _VARIABLE.finditer(template):
        parts.extend(
            (
                _compiled(template[end : match.start()], wildcards=wildcards),
                _value(match[1], context, service),
            )
        )
        end = match.end()
    parts.append(_compiled(template[end:], wildcards=wildcards))
    return re.compile("".join(parts), re.DOTALL)


def _compiled(text: str, *, wildcards: bool) -> str:
    if not wildcards:
        return re.escape(text)
    return "".join({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in text)


def _value(variable: str, context: Context, service: str) -> str:
    if variable in _LITERAL_VARIABLES:
        return re.escape(variable)
    name, _, default = (part.strip() for part in variable.partition(","))
    key = name.lower()
    require_known(key, service)
    values = context.get(key, ())
    if len(values) == 1:
        return re.escape(values[0])
    if default:
        return re.escape(default.strip("'"))
    raise UnresolvedError(name)


_Match = Callable[[str, str, Context, str], bool]


def _equals(actual: str, wanted: str, context: Context, service: str) -> bool:
    return pattern(wanted, context, service, wildcards=False).fullmatch(actual) is not None


def _equals_ignoring_case(actual: str, wanted: str, context: Context, service: str) -> bool:
    found = pattern(wanted, context, service, wildcards=False).pattern
    return re.fullmatch(found, actual, re.IGNORECASE | re.DOTALL) is not None


def _like(actual: str, wanted: str, context: Context, service: str) -> bool:
    return pattern(wanted, context, service, wildcards=True).fullmatch(actual) is not None


def _arn_like(actual: str, wanted: str, context: Context, service: str) -> bool:
    """Each of an ARN's six parts is matched by itself; a wildcard does not reach over a colon."""
    actual_parts, wanted_parts = actual.split(":", 5), _split_arn(wanted)
    if len(actual_parts) != 6 or len(wanted_parts) != 6:
        return False
    pairs = zip(actual_parts, wanted_parts, strict=True)
    return all(_like(part, wanted_part, context, service) for part, wanted_part in pairs)


def _split_arn(template: str) -> list[str]:
    """Split at colons outside of `${...}`."""
    return re.split(r":(?![^${}]*\})", template, maxsplit=5)


def _bool(actual: str, wanted: str, context: Context, service: str) -> bool:
    return _equals(actual.lower(), wanted.lower(), context, service)


_OPERATORS: dict[str, tuple[_Match, bool]] = {
    "stringequals": (_equals, False),
    "stringnotequals": (_equals, True),
    "stringequalsignorecase": (_equals_ignoring_case, False),
    "stringnotequalsignorecase": (_equals_ignoring_case, True),
    "stringlike": (_like, False),
    "stringnotlike": (_like, True),
    "arnequals": (_arn_like, False),
    "arnlike": (_arn_like, False),
    "arnnotequals": (_arn_like, True),
    "arnnotlike": (_arn_like, True),
    "bool": (_bool, False),
}


def holds(operator: str, key: str, wanted: Sequence[str], context: Context, service: str) -> bool:
    """Whether one operator holds for one key.

    Raises UnsupportedError.
    """
    qualifier, _, name = operator.lower().rpartition(":")
    require_known(key.lower(), service)
    actual = context.get(key.lower())
    if name == "null" and not qualifier:
        return all(value.lower() == ("true" if actual is None else "false") for value in wanted)
    if_exists = name.endswith("ifexists")
    match, negated = _OPERATORS.get(name.removesuffix("ifexists"), (None, False))
    if match is None or qualifier not in {"", "forallvalues", "foranyvalue"}:
        raise UnsupportedError(f"condition operator {operator}")
    if not actual:
        return if_exists or qualifier == "forallvalues" or (negated and qualifier == "")

    def accepted(value: str) -> bool:
        found = any(_matches(match, value, one, context, service) for one in wanted)
        return found != negated

    some = qualifier == "foranyvalue" or (qualifier == "" and not negated)
    return any(map(accepted, actual)) if some else all(map(accepted, actual))


def _matches(match: _Match, actual: str, wanted: str, context: Context, service: str) -> bool:
    try:
        return match(actual, wanted, context, service)
    except UnresolvedError:
        return False


def action_matches(wanted: str, action: str) -> bool:
    """Actions are compared without regard to case; only `*` and `?` are special."""
    escaped = wanted.lower().replace("[", "[[]")
    return fnmatch.fnmatchcase(action.lower(), escaped)
