"""What an operator sets up: idempotent, and each program holds only its own rights (THREATS E1)."""

import hashlib
import stat
from datetime import UTC, datetime, timedelta

import pytest

from local_cloud.aws.provision import AUDIT_KEY_ALIAS, KEYS_FILE, VAULT_BUCKET, Provisioned, provision
from tests.aws.conftest import REGION, Server, refusal

MESSAGE = {
    "KeyId": AUDIT_KEY_ALIAS,
    "Message": hashlib.sha256(b"checkpoint").digest(),
    "MessageType": "DIGEST",
    "SigningAlgorithm": "ECDSA_SHA_256",
}


@pytest.fixture(scope="module")
def provisioned(server: Server) -> Provisioned:
    return provision(server.url, server.root, REGION, state_directory=server.state)


def test_again_changes_nothing(server: Server, provisioned: Provisioned) -> None:
    files = {one.name: one.stat().st_mtime_ns for one in server.state.iterdir()}
    assert provision(server.url, server.root, REGION, state_directory=server.state) == provisioned
    assert {one.name: one.stat().st_mtime_ns for one in server.state.iterdir()} == files
    assert stat.S_IMODE((server.state / KEYS_FILE).stat().st_mode) == 0o600


def test_e1_the_sealer_signs_and_the_control_plane_does_not(server: Server, provisioned: Provisioned) -> None:
    sealer = server.client("kms", provisioned.sealer)
    control_plane = server.client("kms", provisioned.control_plane)
    signature = sealer.sign(**MESSAGE)["Signature"]
    assert refusal(control_plane.sign, **MESSAGE) == "AccessDeniedException"
    assert control_plane.get_public_key(KeyId=AUDIT_KEY_ALIAS)["KeyUsage"] == "SIGN_VERIFY"
    assert server.client("kms").verify(**MESSAGE, Signature=signature)["SignatureValid"]
    assert refusal(sealer.schedule_key_deletion, KeyId=provisioned.audit_key_arn) == "AccessDeniedException"
    assert refusal(sealer.disable_key, KeyId=provisioned.audit_key_arn) == "AccessDeniedException"


def test_e1_the_vault_takes_checkpoints_and_gives_none_up(server: Server, provisioned: Provisioned) -> None:
    sealer = server.client("s3", provisioned.sealer)
    place = {"Bucket": VAULT_BUCKET, "Key": "acme/000001.json"}
    until = datetime.now(UTC) + timedelta(days=2)
    retention = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    version = sealer.put_object(**place, Body=b"{}", **retention)["VersionId"]
    assert sealer.get_object(**place)["Body"].read() == b"{}"
    assert refusal(sealer.delete_object, **place, VersionId=version) == "AccessDenied"
    bypass = {"BypassGovernanceRetention": True}
    assert refusal(sealer.delete_object, **place, VersionId=version, **bypass) == "AccessDenied"
    assert refusal(server.client("s3").delete_object, **place, VersionId=version) == "AccessDenied"
    control_plane = server.client("s3", provisioned.control_plane)
    assert refusal(control_plane.put_object, **place, Body=b"x") == "AccessDenied"
    assert refusal(control_plane.get_object, **place) == "AccessDenied"
    default = sealer.put_object(Bucket=VAULT_BUCKET, Key="acme/000002.json", Body=b"{}")["VersionId"]
    kept = server.client("s3").head_object(Bucket=VAULT_BUCKET, Key="acme/000002.json", VersionId=default)
    assert kept["ObjectLockMode"] == "GOVERNANCE"


def test_a_lost_keys_file_is_made_anew_and_old_keys_end(own_server: Server) -> None:
    first = provision(own_server.url, own_server.root, REGION, state_directory=own_server.state)
    (own_server.state / KEYS_FILE).unlink()
    second = provision(own_server.url, own_server.root, REGION, state_directory=own_server.state)
    assert second.audit_key_arn == first.audit_key_arn
    assert refusal(own_server.client("sts", first.sealer).get_caller_identity) == "InvalidClientTokenId"
    arn = own_server.client("sts", second.sealer).get_caller_identity()["Arn"]
    assert arn == "arn:aws:iam::123456789012:user/envforge-sealer"
