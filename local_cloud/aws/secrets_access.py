"""Who reaches secrets in AWS: the role whose sessions read them on hosts, and what the control plane itself may (K1, S5).

The control plane writes what services read and cannot read it; it reads only its own, below another prefix. `docs/aws.md`
says the same for an AWS account.
"""

import json
from typing import Any

READER_ROLE = "envforge-secrets-reader"
READ_BY_SERVICES = "parameter/envforge"
PLATFORM = "parameter/envforge-platform"
ALIASES = "alias/envforge-org-"
TAGGED = "${aws:PrincipalTag/org}"
# What a role through which a customer's own parameters are read is called.
CUSTOMERS_ROLES = "envforge-import"
SIGNS_FOR = "envforge-signs-for"
ORG_ID = "?" * 32


def reader_role(iam: Any, region: str, account: str, *, assumed_by: str) -> None:
    """The reader role: whoever assumes it must name an organization, and then sees that one's parameters alone."""
    trust = reader_trust(account, assumed_by)
    try:
        found = iam.get_role(RoleName=READER_ROLE)["Role"]
    except iam.exceptions.NoSuchEntityException:
        iam.create_role(
            RoleName=READER_ROLE,
            AssumeRolePolicyDocument=json.dumps(trust),
            Description="Reads the secrets of one organization, as far as its session names them",
        )
    else:
        if found["AssumeRolePolicyDocument"] != trust:
            iam.update_assume_role_policy(RoleName=READER_ROLE, PolicyDocument=json.dumps(trust))
    policy = reader_policy(region, account)
    if READER_ROLE not in iam.list_role_policies(RoleName=READER_ROLE)["PolicyNames"] or (
        iam.get_role_policy(RoleName=READER_ROLE, PolicyName=READER_ROLE)["PolicyDocument"] != policy
    ):
        iam.put_role_policy(RoleName=READER_ROLE, PolicyName=READER_ROLE, PolicyDocument=json.dumps(policy))


def control_plane_statements(region: str, account: str) -> list[dict[str, Any]]:
    """What the control plane's identity may do with parameters, organizations' keys and the reader role."""
    ssm, kms = f"arn:aws:ssm:{region}:{account}:", f"arn:aws:kms:{region}:{account}:"
    ours = [f"{ssm}{READ_BY_SERVICES}/*", f"{ssm}{PLATFORM}/*"]
    of_an_organization = {"ForAnyValue:StringLike": {"kms:ResourceAliases": f"{ALIASES}*"}}
    through_ssm = {"StringEquals": {"kms:ViaService": f"ssm.{region}.amazonaws.com"}}

    def context(*arns: str) -> dict[str, Any]:
        return {"StringLike": {"kms:EncryptionContext:PARAMETER_ARN": list(arns)}}

    return [
        _allow(
            "WriteSecrets",
            ["ssm:PutParameter", "ssm:DeleteParameter", "ssm:AddTagsToResource"],
            ours,
        ),
        _allow("DescribeSecrets", ["ssm:DescribeParameters"], "*"),
        _allow("ReadPlatformSecrets", ["ssm:GetParameter"], f"{ssm}{PLATFORM}/*"),
        _allow(
            "EncryptSecrets",
            ["kms:Encrypt", "kms:GenerateDataKey"],
            f"{kms}key/*",
            {**of_an_organization, **through_ssm, **context(*ours)},
        ),
        _allow(
            "DecryptPlatformSecrets",
            ["kms:Decrypt"],
            f"{kms}key/*",
            {**of_an_organization, **through_ssm, **context(f"{ssm}{PLATFORM}/*")},
        ),
        _allow(
            "MakeOrganizationKeys",
            ["kms:CreateKey", "kms:TagResource"],
            "*",
            {"StringLike": {"aws:RequestTag/envforge-org": ORG_ID}},
        ),
        _allow("NameOrganizationKeys", ["kms:CreateAlias"], [f"{kms}{ALIASES}*", f"{kms}key/*"]),
        _allow(
            "FindOrganizationKeys",
            ["kms:DescribeKey", "kms:ListAliases", "kms:ListKeys", "kms:ListResourceTags"],
            "*",
        ),
        _allow(
            "OpenReaderSessions",
            ["sts:AssumeRole", "sts:TagSession"],
            f"arn:aws:iam::{account}:role/{READER_ROLE}",
        ),
        # Whom a role of a customer's trusts is its own policy's to say; it names this identity and an external id.
        _allow("OpenCustomersSessions", ["sts:AssumeRole"], f"arn:aws:iam::*:role/{CUSTOMERS_ROLES}*"),
    ]


def reader_trust(account: str, assumed_by: str) -> dict[str, Any]:
    """Who may assume the reader role: one identity, and only if it names an organization."""
    return _document(
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:user/{assumed_by}"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": {"StringLike": {"aws:RequestTag/org": ORG_ID}},
        }
    )


def reader_policy(region: str, account: str) -> dict[str, Any]:
    """What a reader session may: the secrets of the organization in its tag, and nothing else."""
    own = f"arn:aws:ssm:{region}:{account}:{READ_BY_SERVICES}/{TAGGED}/*"
    return _document(
        _allow("ReadOwnSecrets", ["ssm:GetParameter", "ssm:GetParameters"], own),
        _allow(
            "DecryptOwnSecrets",
            ["kms:Decrypt"],
            f"arn:aws:kms:{region}:{account}:key/*",
            {
                "StringEquals": {"kms:ViaService": f"ssm.{region}.amazonaws.com"},
                "StringLike": {"kms:EncryptionContext:PARAMETER_ARN": own},
                "ForAnyValue:StringEquals": {"kms:ResourceAliases": f"{ALIASES}{TAGGED}"},
            },
        ),
        # A forge app's key: here by its tag, in another account by its own policy, which names the organization's tag.
        _allow(
            "SignWithOwnKeys",
            ["kms:GetPublicKey", "kms:Sign"],
            f"arn:aws:kms:*:{account}:key/*",
            {"StringEquals": {f"aws:ResourceTag/{SIGNS_FOR}": TAGGED}},
        ),
        _allow(
            "SignWithKeysOfCustomers",
            ["kms:GetPublicKey", "kms:Sign"],
            "arn:aws:kms:*:*:key/*",
            {"StringNotEquals": {"aws:ResourceAccount": account}},
        ),
    )


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(
    sid: str, actions: list[str], resource: str | list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})
