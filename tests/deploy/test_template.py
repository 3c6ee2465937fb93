"""The CloudFormation template: it is a valid one, and its policies are those that the local cloud enforces (V4, S5, K1, E1)."""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from envforge.environment import SETTINGS
from local_cloud.aws import fleet, provision, secrets_access

TEMPLATE = Path("deploy/aws/envforge.yaml")
REGION, ACCOUNT = "eu-west-1", "123456789012"
AUDIT_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/audit"
HOST_ROLE = f"arn:aws:iam::{ACCOUNT}:role/{fleet.HOST_PROFILE}"
CONTROL_PLANE = f"arn:aws:iam::{ACCOUNT}:user/{provision.CONTROL_PLANE}"
# What the template's references stand for here.
ATTRIBUTES = {
    "AuditKey.Arn": AUDIT_KEY,
    "HostRole.Arn": HOST_ROLE,
    "ControlPlaneRole.Arn": CONTROL_PLANE,
    "Vault.Arn": f"arn:aws:s3:::{provision.VAULT_BUCKET}",
}
NAMES = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, **ATTRIBUTES}


class Reader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, resolved."""


def _short_form(loader: Reader, suffix: str, node: yaml.Node) -> Any:
    if suffix == "Sub" and isinstance(node, yaml.ScalarNode):
        text = re.sub(r"\$\{([^!}]+)\}", lambda found: NAMES.get(found[1], found[0]), node.value)
        return text.replace("${!", "${")
    if suffix == "GetAtt" and isinstance(node, yaml.ScalarNode):
        return ATTRIBUTES.get(node.value, f"<{node.value}>")
    if isinstance(node, yaml.ScalarNode):
        return f"<{node.value}>"
    return {suffix: loader.construct_sequence(node, deep=True)}  # type: ignore[arg-type]


Reader.add_multi_constructor("!", _short_form)


@cache
def template() -> dict[str, Any]:
    read: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Reader)  # noqa: S506 - a safe loader of ours
    return read


def resource(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = template()["Resources"][name]["Properties"]
    return properties


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in template()["Resources"].items() if one["Type"] == kind}


def same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> bool:
    return json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)


def test_cfn_lint_passes() -> None:
    lint = [str(Path(sys.executable).with_name("cfn-lint")), str(TEMPLATE)]
    answer = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_s5_the_control_plane_has_the_rights_it_has_locally() -> None:
    [policy] = resource("ControlPlaneRole")["Policies"]
    expected = [
        {
            "Sid": "ReadAuditPublicKey",
            "Effect": "Allow",
            "Action": ["kms:GetPublicKey"],
            "Resource": AUDIT_KEY,
        },
        *secrets_access.control_plane_statements(REGION, ACCOUNT),
        *fleet.control_plane_fleet_policy(REGION, ACCOUNT, HOST_ROLE)["Statement"],
    ]
    assert same(policy["PolicyDocument"]["Statement"], expected)


def test_k1_the_reader_has_the_rights_and_the_trust_it_has_locally() -> None:
    reader = resource("ReaderRole")
    [policy] = reader["Policies"]
    assert same(policy["PolicyDocument"]["Statement"], secrets_access._reader_statements(REGION, ACCOUNT))
    trust = secrets_access._trust(ACCOUNT, provision.CONTROL_PLANE)
    assert same(reader["AssumeRolePolicyDocument"]["Statement"], [trust])


def test_e1_the_sealer_has_the_rights_it_has_locally_and_alone_may_sign() -> None:
    expected = provision._sealer_policy(AUDIT_KEY)["Statement"]
    assert same(resource("SealerPolicy")["PolicyDocument"]["Statement"], expected)
    signing = [
        one
        for one in resource("AuditKey")["KeyPolicy"]["Statement"]
        if "kms:Sign" in one["Action"] or "kms:*" in one["Action"]
    ]
    assert [one["Principal"] for one in signing] == [{"AWS": "<SealerRole.Arn>"}]
    vault = resource("Vault")
    assert vault["ObjectLockEnabled"] is True
    assert all(vault["PublicAccessBlockConfiguration"].values())


def test_h4_the_host_role_trusts_ec2_alone_and_may_do_nothing() -> None:
    role = resource("HostRole")
    assert role["AssumeRolePolicyDocument"] == fleet.read_policy("host-trust")
    assert not {"Policies", "ManagedPolicyArns"} & role.keys()
    attached = [one["Properties"]["RoleName"] for one in of_kind("AWS::IAM::RolePolicy").values()]
    assert attached == ["<SealerRole>"]
    assert of_kind("AWS::IAM::ManagedPolicy") == {}


def test_no_statement_allows_everything() -> None:
    for name in ("ControlPlaneRole", "ReaderRole"):
        for policy in resource(name)["Policies"]:
            for one in policy["PolicyDocument"]["Statement"]:
                actions = [one["Action"]] if isinstance(one["Action"], str) else one["Action"]
                assert not any("*" in action for action in actions), one["Sid"]


def test_v4_vms_have_no_public_address_and_files_no_mount_without_an_access_point() -> None:
    subnets = of_kind("AWS::EC2::Subnet")
    assert len(subnets) == 9
    assert not any("MapPublicIpOnLaunch" in one["Properties"] for one in subnets.values())
    files = resource("Files")
    assert files["Encrypted"] is True
    [statement] = files["FileSystemPolicy"]["Statement"]
    assert statement["Condition"]["Null"] == {"elasticfilesystem:AccessPointArn": "false"}
    assert statement["Condition"]["Bool"]["aws:SecureTransport"] == "true"
    assert {"Key": "envforge:files", "Value": "workspaces"} in files["FileSystemTags"]


def test_outputs_name_settings_that_exist() -> None:
    known = {setting.name for setting in SETTINGS}
    named = {
        one["Description"]
        for one in template()["Outputs"].values()
        if one["Description"].startswith("ENVFORGE_")
    }
    assert named <= known
    assert {"ENVFORGE_HOST_SUBNETS", "ENVFORGE_FILES", "ENVFORGE_READER_ROLE_ARN"} <= named


@pytest.mark.parametrize("path", sorted(fleet.POLICIES.glob("*.json")), ids=lambda one: one.stem)
def test_policies_are_json(path: Path) -> None:
    document = json.loads(path.read_text())
    assert document["Version"] == "2012-10-17"
    sids = [one["Sid"] for one in document["Statement"]]
    assert len(sids) == len(set(sids))
