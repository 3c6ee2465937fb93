"""The policy evaluator by itself: operators, variables, and failing closed."""

import json
from typing import Any

import pytest

from local_cloud.aws.policies import Ask, MalformedPolicyError, Verdict, evaluate, parse

ARN = "arn:aws:ssm:eu-west-1:123456789012:parameter/envforge/acme/key"
CONTEXT = {
    "aws:principaltag/org": ("acme",),
    "aws:username": ("bob",),
    "aws:principalarn": ("arn:aws:iam::123456789012:role/reader",),
    "aws:tagkeys": ("org", "team"),
}


def verdict(statement: dict[str, Any], action: str = "ssm:GetParameter", resource: str = ARN) -> Verdict:
    document = json.dumps({"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"} | statement]})
    return evaluate([parse(document)], Ask(action, resource, CONTEXT))


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({"Action": "ssm:Get*"}, True),
        ({"Action": "SSM:getparameter"}, True),
        ({"Action": "ssm:GetParameters"}, False),
        ({"Action": ["kms:*", "ssm:GetParamete?"]}, True),
        ({"Resource": "arn:aws:ssm:*:*:parameter/envforge/*"}, True),
        ({"Resource": "arn:aws:ssm:*:*:parameter/envforge"}, False),
        ({"Resource": "arn:aws:ssm:*:*:parameter/envforge/${aws:PrincipalTag/org}/*"}, True),
        ({"Resource": "arn:aws:ssm:*:*:parameter/envforge/${aws:PrincipalTag/team}/*"}, False),
        ({"Resource": "arn:aws:ssm:*:*:parameter/envforge/${aws:PrincipalTag/team, 'acme'}/*"}, True),
        ({"Resource": "arn:aws:ssm:*:*:parameter/${aws:username}/*"}, False),
        ({"Resource": "arn.aws.ssm:eu-west-1:123456789012:parameter/envforge/acme/key"}, False),
    ],
)
def test_actions_and_resources(statement: dict[str, Any], allowed: bool) -> None:
    assert (verdict(statement) is Verdict.ALLOWED) == allowed


def test_not_action_and_not_resource() -> None:
    def one(**elements: Any) -> Verdict:
        document = json.dumps({"Statement": {"Effect": "Allow", **elements}})
        return evaluate([parse(document)], Ask("ssm:GetParameter", ARN, CONTEXT))

    assert one(NotAction="kms:*", Resource="*") is Verdict.ALLOWED
    assert one(NotAction="ssm:*", Resource="*") is Verdict.SILENT
    assert one(Action="*", NotResource="arn:aws:s3:::*") is Verdict.ALLOWED
    assert one(Action="*", NotResource="arn:aws:ssm:*") is Verdict.SILENT


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"StringEquals": {"aws:PrincipalTag/org": "acme"}}, True),
        ({"StringEquals": {"AWS:principaltag/ORG": ["x", "acme"]}}, True),
        ({"StringEquals": {"aws:PrincipalTag/org": "ac*"}}, False),
        ({"StringLike": {"aws:PrincipalTag/org": "ac*"}}, True),
        ({"StringEquals": {"aws:PrincipalTag/none": "x"}}, False),
        ({"StringEqualsIfExists": {"aws:PrincipalTag/none": "x"}}, True),
        ({"StringEqualsIfExists": {"aws:PrincipalTag/org": "x"}}, False),
        ({"StringNotEquals": {"aws:PrincipalTag/org": ["x", "acme"]}}, False),
        ({"StringNotEquals": {"aws:PrincipalTag/org": ["x", "y"]}}, True),
        ({"StringNotEquals": {"aws:PrincipalTag/none": "x"}}, True),
        ({"StringNotLike": {"aws:PrincipalTag/org": "a*"}}, False),
        ({"StringEquals": {"aws:PrincipalTag/org": "acme", "aws:username": "eve"}}, False),
        ({"StringEquals": {"aws:username": "${aws:username}"}}, True),
        ({"StringEquals": {"aws:username": "${aws:PrincipalTag/none}"}}, False),
        ({"Null": {"aws:PrincipalTag/none": "true"}}, True),
        ({"Null": {"aws:PrincipalTag/org": True}}, False),
        ({"Null": {"aws:PrincipalTag/org": "false"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:*:role/reader"}}, False),
        ({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/other"}}, False),
        ({"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/*"}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["org", "team", "x"]}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["org"]}}, False),
        ({"ForAllValues:StringEquals": {"aws:RequestTag/none": "x"}}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": ["x"]}}, False),
        ({"ForAnyValue:StringEquals": {"aws:RequestTag/none": "x"}}, False),
        ({"Bool": {"aws:PrincipalTag/org": "true"}}, False),
    ],
)
def test_conditions(condition: dict[str, Any], holds: bool) -> None:
    assert (verdict({"Condition": condition}) is Verdict.ALLOWED) == holds
    denied = verdict({"Effect": "Deny", "Condition": condition})
    assert (denied is Verdict.DENIED) == holds


@pytest.mark.parametrize(
    "condition",
    [
        {"NumericLessThan": {"aws:PrincipalTag/org": "4"}},
        {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}},
        {"StringNotEqualsIfExists": {"kms:ViaService": "x"}},
        {"ForSomeValues:StringEquals": {"aws:TagKeys": "org"}},
        {"StringEquals": {"aws:username": "${aws:SourceIp}"}},
    ],
)
def test_what_is_not_supported_allows_nothing_and_denies(condition: dict[str, Any]) -> None:
    assert verdict({"Condition": condition}) is Verdict.SILENT
    assert verdict({"Effect": "Deny", "Condition": condition}) is Verdict.DENIED


def test_an_explicit_deny_wins() -> None:
    allowing = parse(json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}))
    denying = parse(json.dumps({"Statement": {"Effect": "Deny", "Action": "ssm:Get*", "Resource": ARN}}))
    assert evaluate([allowing, denying], Ask("ssm:GetParameter", ARN)) is Verdict.DENIED
    assert evaluate([allowing, denying], Ask("ssm:PutParameter", ARN)) is Verdict.ALLOWED


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "{}",
        '{"Statement": {"Effect": "Maybe", "Action": "*", "Resource": "*"}}',
        '{"Statement": {"Effect": "Allow", "Resource": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Kondition": {}}}',
        '{"Statement": {"Effect": "Allow", "Action": "*", "NotPrincipal": "*"}}',
        '{"Statement": {"Effect": "Allow", "Action": [1], "Resource": "*"}}',
    ],
)
def test_what_is_no_policy_is_refused(document: str) -> None:
    with pytest.raises(MalformedPolicyError):
        parse(document)
