"""What was acknowledged is there after a restart, also after `kill -9` in the middle of writes."""

import hashlib
import itertools
import signal
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.aws import instance_credentials
from local_cloud.aws.state import Snapshots, UnreadableStateError
from tests.aws.conftest import REGION, Server, allow, new_user, policy


def _things(server: Server) -> dict[str, Any]:
    """Everything a caller can see that must outlive the process."""
    ec2, iam, kms, s3, ssm = (server.client(name) for name in ("ec2", "iam", "kms", "s3", "ssm"))
    instances = [
        (
            one["InstanceId"],
            one["State"]["Name"],
            one.get("IamInstanceProfile", {}).get("Arn"),
            one.get("Tags"),
        )
        for page in ec2.get_paginator("describe_instances").paginate(MaxResults=5)
        for reservation in page["Reservations"]
        for one in reservation["Instances"]
    ]
    return {
        "instances": sorted(instances, key=str),
        "groups": sorted(one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]),
        "subnets": sorted(one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]),
        "volumes": sorted(one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]),
        "templates": [one["LaunchTemplateId"] for one in ec2.describe_launch_templates()["LaunchTemplates"]],
        "roles": sorted(one["Arn"] for one in iam.list_roles()["Roles"]),
        "profile": iam.get_instance_profile(InstanceProfileName="host")["InstanceProfile"]["Roles"][0][
            "RoleName"
        ],
        "public_key": kms.get_public_key(KeyId="alias/signing")["PublicKey"],
        "secret": ssm.get_parameter(Name="/envforge/acme/a", WithDecryption=True)["Parameter"]["Value"],
        "tags": ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/envforge/acme/a")[
            "TagList"
        ],
        "object": s3.get_object(Bucket="vault", Key="checkpoints/1")["Body"].read(),
        "lock": s3.head_object(Bucket="vault", Key="checkpoints/1")["ObjectLockMode"],
        "versions": [one["VersionId"] for one in s3.list_object_versions(Bucket="vault")["Versions"]],
        "queues": server.client("sqs").list_queues()["QueueUrls"],
    }


def _make_things(server: Server) -> None:
    ec2, iam, kms, s3, ssm = (server.client(name) for name in ("ec2", "iam", "kms", "s3", "ssm"))
    iam.create_role(RoleName="host", AssumeRolePolicyDocument=policy(
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ))  # fmt: skip
    iam.create_instance_profile(InstanceProfileName="host")
    iam.add_role_to_instance_profile(InstanceProfileName="host", RoleName="host")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "envforge:org", "Value": "acme"}]}]
    made = ec2.run_instances(
        ImageId="ami-12345678",
        MinCount=8,
        MaxCount=8,
        TagSpecifications=tags,
        IamInstanceProfile={"Name": "host"},
    )
    ids = [one["InstanceId"] for one in made["Instances"]]
    ec2.stop_instances(InstanceIds=ids[:2])
    ec2.terminate_instances(InstanceIds=ids[2:3])
    ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=8)
    ec2.create_launch_template(LaunchTemplateName="shell", LaunchTemplateData={"ImageId": "ami-12345678"})
    ec2.create_security_group(GroupName="acme", Description="acme")
    key_id = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/signing", TargetKeyId=key_id)
    org = [{"Key": "org", "Value": "acme"}]
    ssm.put_parameter(Name="/envforge/acme/a", Value="a value", Type="SecureString", Tags=org)
    place = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    s3.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True, **place)
    s3.put_object_lock_configuration(
        Bucket="vault",
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    for content in (b"first", b"second"):
        s3.put_object(Bucket="vault", Key="checkpoints/1", Body=content)
    server.client("sqs").create_queue(QueueName="nudges.fifo", Attributes={"FifoQueue": "true"})


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_everything_outlives_the_process(own_server: Server, how: signal.Signals) -> None:
    server = own_server
    _make_things(server)
    before = _things(server)
    assert len(before["instances"]) == 8
    digest = hashlib.sha256(b"checkpoint").digest()
    message = {
        "KeyId": "alias/signing",
        "Message": digest,
        "MessageType": "DIGEST",
        "SigningAlgorithm": "ECDSA_SHA_256",
    }
    signature = server.client("kms").sign(**message)["Signature"]
    assert server.end(how) == (0 if how is signal.SIGTERM else -signal.SIGKILL)
    server.start()
    assert _things(server) == before
    assert server.client("kms").verify(**message, Signature=signature)["SignatureValid"]
    # What was one object before is one object still: the instance's profile is the one IAM changes.
    running = next(one[0] for one in before["instances"] if one[1] == "running")
    place = (server.url, server.root, REGION)
    assert instance_credentials.mint(*place, role_name="host", instance_id=running)["Code"] == "Success"
    server.client("iam").remove_role_from_instance_profile(InstanceProfileName="host", RoleName="host")
    with pytest.raises(instance_credentials.InstanceCredentialsRefusedError):
        instance_credentials.mint(*place, role_name="host", instance_id=running)


def test_networks_made_by_reading_stay_the_same(own_server: Server) -> None:
    """A region's default network exists once anybody looked at it."""
    seen = own_server.client("ec2", region="us-west-2").describe_vpcs()["Vpcs"][0]["VpcId"]
    own_server.end(signal.SIGKILL)
    own_server.start()
    assert own_server.client("ec2", region="us-west-2").describe_vpcs()["Vpcs"][0]["VpcId"] == seen


ENOUGH = 8


def _write_until_killed(
    server: Server, prefix: str, acknowledged: list[str], writing: threading.Event
) -> None:
    ssm = server.client("ssm")
    try:
        for number in itertools.count():
            ssm.put_parameter(Name=f"{prefix}{number}", Value="x" * 200, Type="SecureString")
            acknowledged.append(f"{prefix}{number}")
            if number == ENOUGH:
                writing.set()
    except (BotoCoreError, ClientError):
        return


def test_nothing_acknowledged_is_lost_when_killed_in_the_middle(own_server: Server) -> None:
    server = own_server
    for prefix in ("/one/", "/two/"):
        acknowledged: list[str] = []
        writing = threading.Event()
        writer = threading.Thread(target=_write_until_killed, args=(server, prefix, acknowledged, writing))
        writer.start()
        assert writing.wait(30)
        server.end(signal.SIGKILL)
        writer.join(10)
        server.start()
        assert len(acknowledged) > ENOUGH
        pages = server.client("ssm").get_paginator("describe_parameters").paginate()
        found = {one["Name"] for page in pages for one in page["Parameters"]}
        assert set(acknowledged) <= found
        assert len([name for name in found if name.startswith(prefix)]) <= len(acknowledged) + 1


def test_sessions_and_keys_outlive_the_process(own_server: Server) -> None:
    server = own_server
    key = new_user(server, "assumer", allow("sts:AssumeRole"))
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:user/assumer"},
        "Action": "sts:AssumeRole",
    }
    server.client("iam").create_role(RoleName="reader", AssumeRolePolicyDocument=policy(trust))
    arn = "arn:aws:iam::123456789012:role/reader"
    opened = server.client("sts", key).assume_role(RoleArn=arn, RoleSessionName="one")["Credentials"]
    root = server.root
    server.end(signal.SIGKILL)
    server.start()
    assert server.root == root
    assert (
        server.session_client("sts", opened).get_caller_identity()["Arn"].endswith("assumed-role/reader/one")
    )
    assert server.client("sts", key).get_caller_identity()["Arn"].endswith("user/assumer")


def test_reading_writes_nothing(own_server: Server) -> None:
    server = own_server
    _make_things(server)
    _things(server)

    def written() -> dict[str, int]:
        return {one.name: one.stat().st_mtime_ns for one in server.state.iterdir()}

    before = written()
    _things(server)
    assert written() == before


def test_state_is_private(own_server: Server) -> None:
    _make_things(own_server)
    assert stat.S_IMODE(own_server.state.stat().st_mode) == 0o700
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in own_server.state.iterdir()}
    assert len(modes) > 6
    assert set(modes.values()) == {0o600}


def test_an_endpoint_does_not_start_on_a_damaged_state(own_server: Server) -> None:
    server = own_server
    server.client("ssm").put_parameter(Name="/a", Value="b", Type="String")
    server.end()
    path = server.state / "ssm.state"
    damaged = path.read_bytes()[:-20]
    path.write_bytes(damaged)
    with pytest.raises(AssertionError) as failed:
        server.start()
    assert str(path) in str(failed.value)
    assert "./dev reset" in str(failed.value)
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-20], "damaged"),
        (lambda content: content.replace(b'"format": 1', b'"format": 0'), "was written by"),
        (lambda content: content.replace(b'"moto": "', b'"moto": "0.'), "was written by"),
        (lambda content: content.replace(b'"section": "layer"', b'"section": "other"'), "damaged"),
        (lambda _content: b"not a state file", "no readable header"),
        (lambda _content: b"", "no readable header"),
    ],
)
def test_an_unusable_state_file_is_named_and_kept(tmp_path: Path, damage: Any, said: str) -> None:
    snapshots = Snapshots(tmp_path)
    snapshots.save("layer", {"a": 1})
    assert snapshots.load("layer") == {"a": 1}
    path = tmp_path / "layer.state"
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(UnreadableStateError) as failed:
        snapshots.load("layer")
    assert str(path) in str(failed.value)
    assert said in str(failed.value)
    assert "./dev reset" in str(failed.value)
    assert path.read_bytes() == damaged


def test_two_endpoints_do_not_share_a_state(own_server: Server) -> None:
    second = Server(own_server.state, own_server.log_path.with_name("second.log"))
    with pytest.raises(AssertionError, match="Another local cloud is using"):
        second.start()
