"""Roles in customers' accounts through which their own parameters are read (THREATS K1): what they are, and whether they hold.

A role is used only with the organization's external id, which EnvForge makes and nobody chooses; and only if the role refuses
everybody who comes without it, so that no other customer of EnvForge's can name it as theirs (the confused deputy).
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings

from secrets_ref import ssm, sts
from secrets_ref.models import CustomerRole, Secret
from secrets_ref.ssm import Described
from secrets_ref.sts import Credentials
from secrets_ref.troubles import StoreRefused, Trouble

# So called, the control plane may assume it at all; see the policy of its identity.
NAME_BEGINS = "envforge-import"
ROLE_FORM = rf"arn:(?P<partition>aws(?:-[a-z-]+)?):iam::(?P<account>[0-9]{{12}}):role/{NAME_BEGINS}[A-Za-z0-9+=,.@_-]{{0,49}}"
REGION_FORM = r"[a-z]{2}(?:-[a-z]+)+-[0-9]"
PATH_FORM = r"/[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+){0,14}"
MAX_PATH_LENGTH = 200
_LIST = {"Effect": "Allow", "Action": "ssm:DescribeParameters", "Resource": "*"}
_LISTING = json.dumps({"Version": "2012-10-17", "Statement": [_LIST]}, separators=(",", ":"))
WORDS = {
    "open": "The role lets in whoever comes without your external id, so any customer of EnvForge could name it. "
    "Give it the trust policy below, with its condition, and check again.",
    "denied": "The role does not let EnvForge in. Give it the trust policy below, and check again.",
    "rights": "The role lets EnvForge in, but not list parameters. Give it the permissions below, and check again.",
    "unchecked": "The role was not checked yet.",
}


def account_of(role_arn: str) -> str:
    return role_arn.split(":")[4]


def arn_of(role: CustomerRole, path: str) -> str:
    """The ARN of a parameter that a role reads."""
    partition = role.role_arn.split(":")[1]
    return f"arn:{partition}:ssm:{role.region}:{account_of(role.role_arn)}:parameter{path}"


def path_in(role: CustomerRole, given: str) -> str | None:
    """The path of a parameter given by its path or its ARN; None if it is none that this role may read.

    In EnvForge's own account nothing below its prefixes is a customer's.
    """
    prefix = arn_of(role, "")
    path = given.removeprefix(prefix)
    if len(path) > MAX_PATH_LENGTH or not re.fullmatch(PATH_FORM, path):
        return None
    ours = account_of(role.role_arn) == account_of(settings.READER_ROLE_ARN)
    return None if ours and re.match(r"/envforge(?:-platform)?(?:/|$)", path) else path


def trust_policy(role: CustomerRole) -> str:
    """What the customer gives the role as its trust policy."""
    _, partition, _, _, account, _ = settings.READER_ROLE_ARN.split(":", 5)
    return _shown(
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:{partition}:iam::{account}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": role.external_id}},
        }
    )


def permissions(role: CustomerRole) -> str:
    """What the customer gives the role as its permissions; the parameters can be named more narrowly."""
    return _shown(
        _LIST,
        {
            "Effect": "Allow",
            "Action": ["ssm:GetParameter", "ssm:GetParameters"],
            "Resource": arn_of(role, "/*"),
        },
        {
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": "*",
            "Condition": {"StringEquals": {"kms:ViaService": f"ssm.{role.region}.amazonaws.com"}},
        },
    )


def what_is_wrong(role: CustomerRole) -> str:
    """Try the role without the external id, with a wrong one and with its own; answers a key of `WORDS`, or nothing.

    Raises:
        StoreRefused: STS or SSM does not answer, or refuses for another reason.
    """
    for external_id in (None, f"envforge-{uuid4().hex}"):
        try:
            sts.open_customers(role.org_id, role.role_arn, _LISTING, external_id=external_id)
        except StoreRefused as refused:
            if refused.trouble is not Trouble.DENIED:
                raise
        else:
            return "open"
    try:
        credentials = _session(role, _LISTING)
    except StoreRefused as refused:
        if refused.trouble is not Trouble.DENIED:
            raise
        return "denied"
    try:
        ssm.describe_as(credentials, role.region, ["/envforge/check"])
    except StoreRefused as refused:
        if refused.trouble is not Trouble.DENIED:
            raise
        return "rights"
    return ""


def describe(role: CustomerRole, paths: Sequence[str]) -> Iterator[Described]:
    """The parameters at these paths as they are now, without values; those that are not there are left out. Raises StoreRefused."""
    credentials = _session(role, _LISTING)
    for start in range(0, len(paths), ssm.PAGE_SIZE):
        yield from ssm.describe_as(credentials, role.region, paths[start : start + ssm.PAGE_SIZE])


def open_session(role: CustomerRole, arns: Sequence[str]) -> Credentials:
    """Assume the role for exactly these parameters (K2); raises as `sts.open_session`."""
    return _session(role, sts.session_policy(arns))


def by_arn(org_id: UUID, arns: Sequence[str]) -> dict[str, CustomerRole]:
    """The role that reads each of these parameters for the entered organization; those it imported and no others."""
    paths = {arn.partition(":parameter")[2] for arn in arns}
    rows = Secret.objects.filter(org_id=org_id, path__in=paths, deleted_at=None, role__isnull=False)
    found: dict[str, CustomerRole] = {}
    for row in rows.select_related("role"):
        if row.role is not None and row.role.removed_at is None:
            found[arn_of(row.role, row.path)] = row.role
    return {arn: found[arn] for arn in arns if arn in found}


def _session(role: CustomerRole, policy: str) -> Credentials:
    return sts.open_customers(role.org_id, role.role_arn, policy, external_id=role.external_id)


def _shown(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2)
