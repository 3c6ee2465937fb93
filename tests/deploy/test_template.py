"""The AWS set-up is the one the local cloud is tested with: the same policies, and nothing that cfn-lint minds."""

import ipaddress
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from envforge.environment import SETTINGS
from hosts.ec2 import INGRESS_PORTS
from local_cloud.aws import fleet, provision, secrets_access
from tests.deploy.template import ACCOUNT, REGION, REPOSITORY, TEMPLATE, load, resolve

AUDIT_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/audit"
HOST_ROLE = f"arn:aws:iam::{ACCOUNT}:role/envforge-host"
CONTROL_PLANE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/{provision.CONTROL_PLANE}"
SEALER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/{provision.SEALER}"
NAMES = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AuditKey.Arn": AUDIT_KEY,
    "AuditVault.Arn": f"arn:aws:s3:::{provision.VAULT_BUCKET}",
    "HostRole.Arn": HOST_ROLE,
    "ControlPlaneRole.Arn": CONTROL_PLANE_ROLE,
    "SealerRole.Arn": SEALER_ROLE,
}
# Of a role's policies together, spaces not counted (IAM's quotas).
ROLE_POLICY_LIMIT = 10_240

TEMPLATE_NOW = load()
RESOURCES: dict[str, Any] = TEMPLATE_NOW["Resources"]


def properties(name: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def document(name: str, field: str = "PolicyDocument") -> dict[str, Any]:
    found: dict[str, Any] = resolve(properties(name)[field], NAMES)
    return found


def statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """A policy's statements, with single values as lists: AWS takes them as the same."""

    def several(value: Any) -> list[str]:
        return sorted(value) if isinstance(value, list) else [value]

    return [
        {
            key: several(value)
            if key in {"Action", "Resource"}
            else {
                operator: {name: several(wanted) for name, wanted in asked.items()}
                for operator, asked in value.items()
            }
            if key == "Condition"
            else value
            for key, value in statement.items()
        }
        for statement in policy["Statement"]
    ]


def test_cfn_lint_has_nothing_to_say() -> None:
    linter = Path(sys.executable).with_name("cfn-lint")
    command = [str(linter), "--non-zero-exit-code", "informational", str(TEMPLATE)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("ControlPlanePolicy", provision.control_plane_policy(REGION, ACCOUNT, AUDIT_KEY, HOST_ROLE)),
        ("SealerPolicy", provision.sealer_policy(AUDIT_KEY)),
        ("ReaderPolicy", secrets_access.reader_policy(REGION, ACCOUNT)),
    ],
)
def test_s5_identities_have_the_rights_of_the_local_cloud(name: str, local: dict[str, Any]) -> None:
    assert statements(document(name)) == statements(local)


def test_k1_the_reader_role_wants_an_organization_of_the_control_plane_alone() -> None:
    trust = document("ReaderRole", "AssumeRolePolicyDocument")
    local = secrets_access.reader_trust(ACCOUNT, provision.CONTROL_PLANE)
    # Here programs are users, there roles.
    local["Statement"][0]["Principal"] = {"AWS": CONTROL_PLANE_ROLE}
    assert statements(trust) == statements(local)
    assert properties("ReaderRole")["RoleName"] == secrets_access.READER_ROLE


def test_h4_vms_have_an_identity_and_no_rights() -> None:
    role = properties("HostRole")
    trust = document("HostRole", "AssumeRolePolicyDocument")
    assert statements(trust) == statements(fleet.read_policy("host-trust"))
    assert not {"Policies", "ManagedPolicyArns"} & role.keys()
    assert role["RoleName"] == properties("HostProfile")["InstanceProfileName"] == fleet.HOST_PROFILE


def test_every_right_is_in_a_policy_compared_here() -> None:
    compared = {"ControlPlanePolicy", "SealerPolicy", "ReaderPolicy"}
    kinds = {name: resource["Type"] for name, resource in RESOURCES.items() if "::IAM::" in resource["Type"]}
    roles = {"ControlPlaneRole", "SealerRole", "ReaderRole", "HostRole"}
    assert set(kinds) == compared | roles | {"HostProfile"}
    for role in roles:
        assert not {"Policies", "ManagedPolicyArns"} & properties(role).keys(), role
    given = {name: properties(name)["RoleName"]["Ref"] for name in compared}
    assert given == {name: name.replace("Policy", "Role") for name in compared}


@pytest.mark.parametrize("name", ["ControlPlanePolicy", "SealerPolicy", "ReaderPolicy"])
def test_policies_fit_into_a_role(name: str) -> None:
    assert len(json.dumps(document(name), separators=(",", ":"))) < ROLE_POLICY_LIMIT


def test_e1_the_audit_keys_own_policy_lets_the_sealer_alone_sign() -> None:
    policy = document("AuditKey", "KeyPolicy")
    signing = [
        statement
        for statement in policy["Statement"]
        if any(action in {"kms:Sign", "kms:*", "*"} for action in statement["Action"])
    ]
    assert [statement["Principal"] for statement in signing] == [{"AWS": SEALER_ROLE}]
    assert properties("AuditKey")["KeySpec"] == "ECC_NIST_P256"
    assert properties("AuditKey")["KeyUsage"] == "SIGN_VERIFY"


def test_e1_the_vault_is_locked_and_outlives_the_stack() -> None:
    vault = RESOURCES["AuditVault"]
    lock = vault["Properties"]["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert vault["Properties"]["ObjectLockEnabled"] is True
    assert lock["Mode"] == "COMPLIANCE"
    for name in ("AuditVault", "AuditKey", "PlatformKey"):
        assert RESOURCES[name]["DeletionPolicy"] == RESOURCES[name]["UpdateReplacePolicy"] == "Retain", name


def test_vms_have_no_public_address_and_hold_the_local_network() -> None:
    network = ipaddress.IPv4Network(properties("Vpc")["CidrBlock"])
    subnets = {
        name: ipaddress.IPv4Network(resource["Properties"]["CidrBlock"])
        for name, resource in RESOURCES.items()
        if resource["Type"] == "AWS::EC2::Subnet"
    }
    assert str(network) == fleet.NETWORK
    assert {str(subnets["HostSubnetA"]), str(subnets["HostSubnetB"])} <= set(fleet.SUBNETS)
    blocks = list(subnets.values())
    assert all(block.subnet_of(network) for block in blocks)
    assert not any(one.overlaps(other) for i, one in enumerate(blocks) for other in blocks[:i])
    for zone in "AB":
        assert properties(f"HostSubnet{zone}")["MapPublicIpOnLaunch"] is False
        assert properties(f"HostSubnet{zone}Routes")["RouteTableId"] == {"Ref": f"PrivateRoutes{zone}"}
        assert "NatGatewayId" in properties(f"PrivateDefault{zone}")


def test_g2_gateways_reach_ingress_ports_of_vms() -> None:
    egress = properties("GatewaySecurityGroup")["SecurityGroupEgress"]
    to_vms = [rule for rule in egress if "HostSubnet" in str(rule["CidrIp"])]
    assert {(rule["FromPort"], rule["ToPort"]) for rule in to_vms} == {INGRESS_PORTS}
    assert len(to_vms) == 2


def test_files_are_encrypted_with_the_key_that_the_control_plane_may_use_for_them() -> None:
    alias = properties("PlatformKeyAlias")["AliasName"]
    [using] = [
        one for one in document("ControlPlanePolicy")["Statement"] if one["Sid"] == "EncryptFileSystems"
    ]
    assert using["Condition"]["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": alias}
    assert using["Condition"]["StringEquals"] == {
        "kms:ViaService": f"elasticfilesystem.{REGION}.amazonaws.com"
    }
    assert not any("::EFS::" in resource["Type"] for resource in RESOURCES.values())


SAMPLES = NAMES | {
    "DatabaseAddress": "db.example.com:5432",
    "ValkeyAddress": "valkey.example.com:6379",
    "ReaderRole.Arn": f"arn:aws:iam::{ACCOUNT}:role/envforge-secrets-reader",
    "AuditKeyAlias": "alias/envforge-audit",
    "AuditVault": "envforge-audit-vault",
    "HostImage": "ami-0123456789abcdef0",
    "HostProfile": "envforge-host",
    "Vpc": "vpc-0123456789abcdef0",
    "HostSubnetA": "subnet-0a",
    "HostSubnetB": "subnet-0b",
    "GatewaySecurityGroup": "sg-0123456789abcdef0",
    "GatewaySubnetA.CidrBlock": "10.20.0.0/22",
    "GatewaySubnetB.CidrBlock": "10.20.4.0/22",
    "PlatformKeyAlias": "alias/envforge-platform",
    "HostRole.RoleId": "AROA0123456789ABCDEFG",
}


def test_outputs_are_settings_that_the_product_can_read() -> None:
    known = {setting.name: setting for setting in SETTINGS}
    found = {
        output["Description"]: resolve(output["Value"], SAMPLES)
        for output in TEMPLATE_NOW["Outputs"].values()
        if output["Description"] in known
    }
    for name, value in found.items():
        known[name].read(value)
    settings_like = {
        o["Description"] for o in TEMPLATE_NOW["Outputs"].values() if " " not in o["Description"]
    }
    assert settings_like == found.keys()
    of_vms = {name for name in known if name.startswith("ENVFORGE_HOST_")}
    assert of_vms - found.keys() == {"ENVFORGE_HOST_API_URL", "ENVFORGE_HOST_TYPES", "ENVFORGE_HOST_WALLS"}
