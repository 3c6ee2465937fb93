"""Role sessions reach what role and session policy both allow, and no more (THREATS K1, K2)."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local_cloud.aws.identities import AccessKey, Identities, Session
from local_cloud.aws.state import Snapshots
from tests.aws.conftest import ACCOUNT, REGION, Server, allow, new_server, new_user, policy, refusal

ROLE = f"arn:aws:iam::{ACCOUNT}:role/secrets-reader"
PARAMETERS = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter"
NAMES = [f"/envforge/acme/app/s{number}" for number in range(5)]


@pytest.fixture(scope="module")
def control_plane(server: Server) -> AccessKey:
    """The reader role of K1 with its tag condition, the user that may assume it, and some secrets."""
    iam, ssm, kms = (server.client(name) for name in ("iam", "ssm", "kms"))
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/secrets", TargetKeyId=key_id)
    key = new_user(server, "control-plane", allow(["sts:AssumeRole", "sts:TagSession"], ROLE))
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/control-plane"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {"StringLike": {"aws:RequestTag/org": "?*"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName="secrets-reader", AssumeRolePolicyDocument=document)
    own_prefix = PARAMETERS + "/envforge/${aws:PrincipalTag/org}/*"
    iam.put_role_policy(
        RoleName="secrets-reader",
        PolicyName="own",
        PolicyDocument=policy(
            allow(["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"], own_prefix),
            allow(
                "kms:Decrypt",
                StringLike={"kms:EncryptionContext:PARAMETER_ARN": own_prefix},
                StringEquals={"kms:ViaService": f"ssm.{REGION}.amazonaws.com"},
            ),
        ),
    )
    for name in [*NAMES, "/envforge/acme/app/unlisted", "/envforge/mallet/app/s0", "/platform/key"]:
        ssm.put_parameter(Name=name, Value=f"value of {name}", Type="SecureString", KeyId="alias/secrets")
    return key


def session_policy(names: list[str], *, decrypt: bool = True) -> str:
    statements = [allow(["ssm:GetParameters", "ssm:GetParameter"], [PARAMETERS + name for name in names])]
    if decrypt:
        arns = [PARAMETERS + name for name in names]
        statements.append(allow("kms:Decrypt", StringEquals={"kms:EncryptionContext:PARAMETER_ARN": arns}))
    document = policy(*statements).replace(" ", "")
    assert len(document) <= 2048
    return document


def assume(server: Server, key: AccessKey, org: str | None = "acme", **arguments: Any) -> dict[str, Any]:
    tags = {} if org is None else {"Tags": [{"Key": "org", "Value": org}]}
    sts = server.client("sts", key)
    answer = sts.assume_role(RoleArn=ROLE, RoleSessionName="command-1", **tags, **arguments)
    credentials: dict[str, Any] = answer["Credentials"]
    return credentials


def reader(server: Server, key: AccessKey, org: str = "acme", **arguments: Any) -> Any:
    return server.session_client("ssm", assume(server, key, org, **arguments))


def test_k2_a_session_reads_exactly_its_five_parameters(server: Server, control_plane: AccessKey) -> None:
    ssm = reader(server, control_plane, Policy=session_policy(NAMES))
    found = ssm.get_parameters(Names=NAMES, WithDecryption=True)["Parameters"]
    assert {one["Name"]: one["Value"] for one in found} == {name: f"value of {name}" for name in NAMES}
    assert ssm.get_parameter(Name=PARAMETERS + NAMES[0], WithDecryption=True)["Parameter"]["Name"] == NAMES[0]


def test_k2_a_parameter_beside_the_session_policy_is_refused(
    server: Server, control_plane: AccessKey
) -> None:
    ssm = reader(server, control_plane, Policy=session_policy(NAMES))
    other = "/envforge/acme/app/unlisted"
    assert refusal(ssm.get_parameter, Name=other, WithDecryption=True) == "AccessDeniedException"
    assert refusal(ssm.get_parameter, Name=other) == "AccessDeniedException"
    both = [NAMES[0], other]
    assert refusal(ssm.get_parameters, Names=both, WithDecryption=True) == "AccessDeniedException"
    assert (
        refusal(ssm.get_parameters_by_path, Path="/envforge/acme", Recursive=True) == "AccessDeniedException"
    )


def test_k2_a_session_policy_adds_nothing(server: Server, control_plane: AccessKey) -> None:
    ssm = reader(server, control_plane, Policy=policy(allow("*")))
    assert refusal(ssm.get_parameter, Name="/envforge/mallet/app/s0") == "AccessDeniedException"
    assert refusal(ssm.get_parameter, Name="/platform/key") == "AccessDeniedException"
    assert refusal(ssm.put_parameter, Name=NAMES[0], Value="x", Type="String") == "AccessDeniedException"
    assert (
        ssm.get_parameter(Name=NAMES[0], WithDecryption=True)["Parameter"]["Value"] == f"value of {NAMES[0]}"
    )


def test_k2_decryption_needs_the_key_in_the_session_policy_too(
    server: Server, control_plane: AccessKey
) -> None:
    ssm = reader(server, control_plane, Policy=session_policy(NAMES, decrypt=False))
    assert refusal(ssm.get_parameter, Name=NAMES[0], WithDecryption=True) == "AccessDeniedException"
    assert "value of" not in ssm.get_parameter(Name=NAMES[0])["Parameter"]["Value"]


def test_k2_decryption_is_bound_to_the_parameter(server: Server, control_plane: AccessKey) -> None:
    """A session that may read two parameters and decrypt one of them gets no value of the other."""
    document = policy(
        allow("ssm:GetParameters", [PARAMETERS + name for name in NAMES[:2]]),
        allow("kms:Decrypt", StringEquals={"kms:EncryptionContext:PARAMETER_ARN": PARAMETERS + NAMES[0]}),
    )
    ssm = reader(server, control_plane, Policy=document)
    assert ssm.get_parameters(Names=NAMES[:1], WithDecryption=True)["Parameters"]
    assert refusal(ssm.get_parameters, Names=NAMES[:2], WithDecryption=True) == "AccessDeniedException"


def test_k2_decryption_only_through_ssm(server: Server, control_plane: AccessKey) -> None:
    """The role's kms:Decrypt is conditioned on ssm; the same ciphertext straight to KMS is refused."""
    shown = server.client("ssm").get_parameter(Name=NAMES[0])["Parameter"]
    blob, context = base64.b64decode(shown["Value"]), {"PARAMETER_ARN": shown["ARN"]}
    kms = server.session_client("kms", assume(server, control_plane))
    assert refusal(kms.decrypt, CiphertextBlob=blob, EncryptionContext=context) == "AccessDeniedException"
    plain = server.client("kms").decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"]
    assert plain == f"value of {NAMES[0]}".encode()
    wrong = {"PARAMETER_ARN": shown["ARN"] + "x"}
    code = refusal(server.client("kms").decrypt, CiphertextBlob=blob, EncryptionContext=wrong)
    assert code == "InvalidCiphertextException"


def test_k1_another_organization_is_refused(server: Server, control_plane: AccessKey) -> None:
    ssm = reader(server, control_plane, "mallet")
    assert ssm.get_parameter(Name="/envforge/mallet/app/s0", WithDecryption=True)["Parameter"]["Value"]
    assert refusal(ssm.get_parameter, Name=NAMES[0], WithDecryption=True) == "AccessDeniedException"
    assert refusal(ssm.get_parameters, Names=["/envforge/mallet/app/s0", NAMES[0]]) == "AccessDeniedException"
    assert refusal(ssm.get_parameter, Name="/platform/key") == "AccessDeniedException"


@pytest.mark.parametrize("org", ["*", "?cme", "acm*", "acme/ap"])
def test_k1_a_tag_value_is_no_wildcard(server: Server, control_plane: AccessKey, org: str) -> None:
    ssm = reader(server, control_plane, org)
    assert refusal(ssm.get_parameter, Name=NAMES[0]) == "AccessDeniedException"


def test_k1_the_tag_is_required(server: Server, control_plane: AccessKey) -> None:
    assert refusal(assume, server, control_plane, None) == "AccessDenied"
    assert refusal(assume, server, control_plane, "") == "AccessDenied"
    sts = server.client("sts", control_plane)
    other = [{"Key": "team", "Value": "acme"}]
    assert refusal(sts.assume_role, RoleArn=ROLE, RoleSessionName="command", Tags=other) == "AccessDenied"


def test_only_who_is_trusted_assumes(server: Server, control_plane: AccessKey) -> None:
    stranger = new_user(server, "sessions-stranger", allow("sts:*"))
    assert refusal(assume, server, stranger) == "AccessDenied"
    assert refusal(assume, server, server.root) == "AccessDenied"
    sts = server.client("sts", control_plane)
    nowhere = ROLE + "-of-nobody"
    assert refusal(sts.assume_role, RoleArn=nowhere, RoleSessionName="command") == "AccessDenied"


def test_passing_tags_needs_tag_session(server: Server) -> None:
    key = new_user(server, "sessions-untagged", allow("sts:*"))
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    server.client("iam").create_role(RoleName="no-tags", AssumeRolePolicyDocument=document)
    sts = server.client("sts", key)
    arguments = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/no-tags", "RoleSessionName": "one"}
    assert sts.assume_role(**arguments)["Credentials"]
    assert refusal(sts.assume_role, **arguments, Tags=[{"Key": "org", "Value": "acme"}]) == "AccessDenied"


def test_k1_external_id(server: Server) -> None:
    """A role in the customer's account is assumed with the ExternalId it asks for (confused deputy)."""
    key = new_user(server, "sessions-external", allow("sts:AssumeRole"))
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "acme-7f3a"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    server.client("iam").create_role(RoleName="customer", AssumeRolePolicyDocument=document)
    sts = server.client("sts", key)
    arguments = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/customer", "RoleSessionName": "import"}
    assert refusal(sts.assume_role, **arguments) == "AccessDenied"
    assert refusal(sts.assume_role, **arguments, ExternalId="mallet-1111") == "AccessDenied"
    assert sts.assume_role(**arguments, ExternalId="acme-7f3a")["Credentials"]


def test_limits_of_a_session(server: Server, control_plane: AccessKey) -> None:
    assert refusal(assume, server, control_plane, DurationSeconds=3601) == "ValidationError"
    assert refusal(assume, server, control_plane, Policy="{}") == "MalformedPolicyDocument"
    long = policy(allow("ssm:GetParameter", [PARAMETERS + f"/{'x' * 100}/{number}" for number in range(20)]))
    assert refusal(assume, server, control_plane, Policy=long) == "PackedPolicyTooLarge"
    expires = assume(server, control_plane, DurationSeconds=900)["Expiration"]
    assert timedelta(minutes=14) < expires - datetime.now(UTC) <= timedelta(minutes=15)


def test_caller_identity_of_a_session(server: Server, control_plane: AccessKey) -> None:
    credentials = assume(server, control_plane)
    answer = server.session_client("sts", credentials).get_caller_identity()
    role_id = server.client("iam").get_role(RoleName="secrets-reader")["Role"]["RoleId"]
    assert answer["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/secrets-reader/command-1"
    assert (answer["UserId"], answer["Account"]) == (f"{role_id}:command-1", ACCOUNT)


def test_a_policy_taken_from_the_role_ends_what_its_sessions_may(
    server: Server, control_plane: AccessKey
) -> None:
    iam = server.client("iam")
    ssm = reader(server, control_plane)
    assert ssm.get_parameter(Name=NAMES[0])["Parameter"]["Name"] == NAMES[0]
    deny = policy({"Effect": "Deny", "Action": "ssm:*", "Resource": "*"})
    iam.put_role_policy(RoleName="secrets-reader", PolicyName="stop", PolicyDocument=deny)
    assert refusal(ssm.get_parameter, Name=NAMES[0]) == "AccessDeniedException"
    iam.delete_role_policy(RoleName="secrets-reader", PolicyName="stop")
    assert ssm.get_parameter(Name=NAMES[0])["Parameter"]["Name"] == NAMES[0]


def test_k2_an_expired_session_is_refused(tmp_path: Path) -> None:
    """Sessions whose time is over are laid into the state, so that no test waits a quarter of an hour."""
    server = new_server(tmp_path)
    server.start()
    iam = server.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=document)
    iam.put_role_policy(RoleName="reader", PolicyName="all", PolicyDocument=policy(allow("*")))
    assert server.end() == 0
    now = datetime.now(UTC)
    sessions = Identities(server.root)
    for name, left in (("over", timedelta(seconds=-1)), ("valid", timedelta(hours=1))):
        sessions.open_session(
            Session(f"ASIA{name.upper():X<16}", "s" * 40, f"token-{name}", "reader", name, now + left)
        )
    content = {"sessions": sessions.sessions, "client_tokens": {}}
    Snapshots(server.state).save("layer", content)
    server.start()
    try:
        over, valid = (
            {
                "AccessKeyId": key_id,
                "SecretAccessKey": one.secret_access_key,
                "SessionToken": one.session_token,
            }
            for key_id, one in sessions.sessions.items()
        )
        assert server.session_client("sts", valid).get_caller_identity()["Arn"].endswith("reader/valid")
        for service, operation, code in (
            ("sts", "get_caller_identity", "ExpiredToken"),
            ("ssm", "describe_parameters", "ExpiredTokenException"),
            ("kms", "list_keys", "ExpiredTokenException"),
            ("ec2", "describe_instances", "RequestExpired"),
            ("s3", "list_buckets", "ExpiredToken"),
        ):
            assert getattr(server.session_client(service, valid), operation)()
            assert refusal(getattr(server.session_client(service, over), operation)) == code
    finally:
        server.end()
