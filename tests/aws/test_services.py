"""The calls EnvForge makes, where moto alone answers otherwise than AWS."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from local_cloud.aws import instance_credentials
from local_cloud.aws.instance_credentials import InstanceCredentialsRefusedError
from tests.aws.conftest import ACCOUNT, REGION, Server, allow, new_user, policy, refusal

IMAGE = "ami-12345678"
SECRET = "correct-horse-battery-staple"
EC2_TRUST = policy(
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
)


def test_secret_values_do_not_leave_without_decryption_nor_reach_the_log(server: Server) -> None:
    ssm = server.client("ssm")
    for number in range(2):
        ssm.put_parameter(Name="/s/one", Value=f"{SECRET}{number}", Type="SecureString", Overwrite=number > 0)
    path = {"Path": "/s", "Recursive": True}
    answers = [
        ssm.get_parameter(Name="/s/one"),
        ssm.get_parameter(Name="/s/one", WithDecryption=False),
        ssm.get_parameter(Name="/s/one:1"),
        ssm.get_parameters(Names=["/s/one"]),
        ssm.get_parameters_by_path(**path),
        ssm.get_parameter_history(Name="/s/one"),
        ssm.describe_parameters(),
    ]
    assert [SECRET in str(answer) for answer in answers] == [False] * len(answers)
    assert ssm.get_parameter(Name="/s/one", WithDecryption=True)["Parameter"]["Value"] == f"{SECRET}1"
    assert ssm.get_parameters_by_path(**path, WithDecryption=True)["Parameters"][0]["Value"] == f"{SECRET}1"
    history = ssm.get_parameter_history(Name="/s/one", WithDecryption=True)["Parameters"]
    assert [one["Value"] for one in history] == [f"{SECRET}0", f"{SECRET}1"]
    assert (
        refusal(ssm.put_parameter, Name="/s/one", Value=SECRET, Type="SecureString")
        == "ParameterAlreadyExists"
    )
    log = server.log_path.read_text()
    assert "ssm PutParameter arn:aws:iam::123456789012:root 200" in log
    assert SECRET not in log
    assert "/s/one" not in log


def test_a_value_that_looks_like_a_request_stays_a_value(server: Server) -> None:
    ssm = server.client("ssm")
    value = "a&Action=DeleteParameter&Name=/odd&b=<c>%20\u00fc"
    ssm.put_parameter(Name="/odd", Value=value, Type="SecureString")
    assert ssm.get_parameter(Name="/odd", WithDecryption=True)["Parameter"]["Value"] == value


def test_a_disabled_key_closes_its_secrets(server: Server) -> None:
    ssm, kms = server.client("ssm"), server.client("kms")
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    blob = kms.encrypt(KeyId=key_id, Plaintext=b"data", EncryptionContext={"org": "acme"})["CiphertextBlob"]
    ssm.put_parameter(Name="/closing", Value="v", Type="SecureString", KeyId=key_id)
    kms.disable_key(KeyId=key_id)
    assert refusal(ssm.get_parameter, Name="/closing", WithDecryption=True) == "InvalidKeyId"
    put = {"Name": "/closing", "Value": "w", "Type": "SecureString", "KeyId": key_id, "Overwrite": True}
    assert refusal(ssm.put_parameter, **put) == "InvalidKeyId"
    assert refusal(kms.encrypt, KeyId=key_id, Plaintext=b"x") == "DisabledException"
    context = {"EncryptionContext": {"org": "acme"}}
    assert refusal(kms.decrypt, CiphertextBlob=blob, **context) == "DisabledException"
    kms.enable_key(KeyId=key_id)
    assert ssm.get_parameter(Name="/closing", WithDecryption=True)["Parameter"]["Value"] == "v"
    assert kms.decrypt(CiphertextBlob=blob, **context)["Plaintext"] == b"data"
    assert (
        refusal(kms.decrypt, CiphertextBlob=blob, EncryptionContext={"org": "x"})
        == "InvalidCiphertextException"
    )
    assert refusal(ssm.put_parameter, **{**put, "KeyId": "alias/nowhere"}) == "InvalidKeyId"
    assert refusal(kms.decrypt, CiphertextBlob=b"nonsense") == "InvalidCiphertextException"


def test_writing_a_secret_needs_the_key(server: Server) -> None:
    put = allow("ssm:PutParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/written/*")
    without = server.client("ssm", new_user(server, "writer-without-key", put))
    assert without.put_parameter(Name="/written/plain", Value="v", Type="String")["Version"] == 1
    secret = {"Name": "/written/secret", "Value": "v", "Type": "SecureString"}
    assert refusal(without.put_parameter, **secret) == "AccessDeniedException"
    assert refusal(server.client("ssm").get_parameter, Name="/written/secret") == "ParameterNotFound"
    encrypt = allow(
        "kms:Encrypt", StringLike={"kms:EncryptionContext:PARAMETER_ARN": "arn:*:parameter/written/*"}
    )
    complete = server.client("ssm", new_user(server, "writer-with-key", put, encrypt))
    assert complete.put_parameter(**secret)["Version"] == 1
    assert refusal(complete.put_parameter, **{**secret, "Name": "/elsewhere"}) == "AccessDeniedException"


def test_run_instances_is_idempotent_by_client_token(server: Server) -> None:
    ec2 = server.client("ec2")
    wanted = {
        "ImageId": IMAGE,
        "MinCount": 2,
        "MaxCount": 2,
        "InstanceType": "t3.small",
        "ClientToken": "host-7-1",
    }
    first, again = ec2.run_instances(**wanted), ec2.run_instances(**wanted)
    ids = [one["InstanceId"] for one in first["Instances"]]
    assert [one["InstanceId"] for one in again["Instances"]] == ids
    assert again["ReservationId"] == first["ReservationId"]
    assert (
        refusal(ec2.run_instances, **{**wanted, "InstanceType": "t3.large"}) == "IdempotentParameterMismatch"
    )
    other = ec2.run_instances(**{**wanted, "ClientToken": "host-7-2"})
    assert other["ReservationId"] != first["ReservationId"]
    found = ec2.describe_instances(Filters=[{"Name": "instance-type", "Values": ["t3.small"]}])[
        "Reservations"
    ]
    assert sum(len(one["Instances"]) for one in found) == 4
    volume = {"AvailabilityZone": f"{REGION}a", "Size": 8, "ClientToken": "volume-1"}
    assert ec2.create_volume(**volume)["VolumeId"] == ec2.create_volume(**volume)["VolumeId"]
    assert refusal(ec2.create_volume, **{**volume, "Size": 9}) == "IdempotentParameterMismatch"


def test_client_tokens_outlive_the_process(own_server: Server) -> None:
    wanted = {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1, "ClientToken": "host-1-1"}
    first = own_server.client("ec2").run_instances(**wanted)
    own_server.end()
    own_server.start()
    again = own_server.client("ec2").run_instances(**wanted)
    assert again["Instances"][0]["InstanceId"] == first["Instances"][0]["InstanceId"]
    assert len(own_server.client("ec2").describe_instances()["Reservations"]) == 1


def test_a_terminated_instance_does_not_come_back(server: Server) -> None:
    ec2 = server.client("ec2")
    one = ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[one])
    ec2.start_instances(InstanceIds=[one])
    ec2.terminate_instances(InstanceIds=[one])
    assert refusal(ec2.start_instances, InstanceIds=[one]) == "IncorrectInstanceState"
    assert refusal(ec2.stop_instances, InstanceIds=[one]) == "IncorrectInstanceState"
    state = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]["State"]["Name"]
    assert state == "terminated"


def test_instance_credentials(server: Server) -> None:
    iam, ec2 = server.client("iam"), server.client("ec2")
    for name, trust in (("host", EC2_TRUST), ("person", EC2_TRUST.replace("ec2.", "lambda."))):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    run = {"ImageId": IMAGE, "MinCount": 2, "MaxCount": 2}
    ids = [
        one["InstanceId"]
        for one in ec2.run_instances(**run, IamInstanceProfile={"Name": "host"})["Instances"]
    ]

    def mint(role_name: str, instance_id: str) -> dict[str, str]:
        place = (server.url, server.root, REGION)
        return instance_credentials.mint(*place, role_name=role_name, instance_id=instance_id)

    for instance_id in ids:
        minted = mint("host", instance_id)
        credentials = {**minted, "SessionToken": minted["Token"]}
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/host/{instance_id}"
        assert server.session_client("sts", credentials).get_caller_identity()["Arn"] == arn
        left = datetime.fromisoformat(minted["Expiration"]) - datetime.now(UTC)
        assert timedelta(hours=5) < left <= timedelta(hours=6)
        assert (
            refusal(server.session_client("ssm", credentials).describe_parameters) == "AccessDeniedException"
        )
    for role_name, instance_id in (("person", ids[0]), ("nobody", ids[0]), ("host", "i-0123456789abcdef0")):
        with pytest.raises(InstanceCredentialsRefusedError):
            mint(role_name, instance_id)
    lambda_run = ec2.run_instances(**run, IamInstanceProfile={"Name": "person"})["Instances"]
    with pytest.raises(InstanceCredentialsRefusedError, match="does not trust"):
        mint("person", lambda_run[0]["InstanceId"])
    ec2.stop_instances(InstanceIds=ids[:1])
    with pytest.raises(InstanceCredentialsRefusedError):
        mint("host", ids[0])
    key = new_user(server, "minting-user", allow("*"))
    with pytest.raises(InstanceCredentialsRefusedError, match="Only the account's root"):
        instance_credentials.mint(server.url, key, REGION, role_name="host", instance_id=ids[1])


def test_ec2_rights_by_tag_and_pass_role(server: Server) -> None:
    iam, ec2 = server.client("iam"), server.client("ec2")
    iam.create_role(RoleName="passed", AssumeRolePolicyDocument=EC2_TRUST)
    iam.create_instance_profile(InstanceProfileName="passed")
    iam.add_role_to_instance_profile(InstanceProfileName="passed", RoleName="passed")
    tagged = {"StringEquals": {"aws:ResourceTag/managed-by": "envforge"}}
    starting = allow(
        ["ec2:StartInstances", "ec2:StopInstances"], f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*", **tagged
    )
    limited = server.client("ec2", new_user(server, "ec2-limited", starting, allow("ec2:RunInstances")))
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "managed-by", "Value": "envforge"}]}]
    run = {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1}
    ours = ec2.run_instances(**run, TagSpecifications=tags)["Instances"][0]["InstanceId"]
    other = ec2.run_instances(**run)["Instances"][0]["InstanceId"]
    assert limited.stop_instances(InstanceIds=[ours])["StoppingInstances"]
    assert refusal(limited.stop_instances, InstanceIds=[other]) == "UnauthorizedOperation"
    assert refusal(limited.stop_instances, InstanceIds=[ours, other]) == "UnauthorizedOperation"
    assert refusal(limited.terminate_instances, InstanceIds=[ours]) == "UnauthorizedOperation"
    assert refusal(limited.describe_instances) == "UnauthorizedOperation"
    assert limited.run_instances(**run)["Instances"]
    assert refusal(limited.run_instances, **run, TagSpecifications=tags) == "UnauthorizedOperation"
    profile = {"IamInstanceProfile": {"Name": "passed"}}
    assert refusal(limited.run_instances, **run, **profile) == "UnauthorizedOperation"
    passing = new_user(
        server,
        "ec2-passing",
        allow("ec2:RunInstances"),
        allow("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/passed"),
    )
    assert server.client("ec2", passing).run_instances(**run, **profile)["Instances"]


def test_a_user_without_policies_may_only_ask_who_it_is(server: Server) -> None:
    key = new_user(server, "nobody")
    assert server.client("sts", key).get_caller_identity()["Arn"].endswith("user/nobody")
    assert refusal(server.client("iam", key).create_access_key, UserName="nobody") == "AccessDenied"
    assert refusal(server.client("s3", key).list_buckets) == "AccessDenied"
    assert refusal(server.client("kms", key).create_key) == "AccessDeniedException"
    assert refusal(server.client("sqs", key).create_queue, QueueName="x") == "AccessDeniedException"
    assert (
        refusal(server.client("ssm", key).put_parameter, Name="/x", Value="x", Type="String")
        == "AccessDeniedException"
    )
    assert (
        refusal(server.client("ec2", key).run_instances, ImageId=IMAGE, MinCount=1, MaxCount=1)
        == "UnauthorizedOperation"
    )


def test_groups_managed_policies_and_boundaries(server: Server) -> None:
    iam = server.client("iam")
    document = policy(allow("ssm:DescribeParameters"), allow("kms:ListKeys"))
    arn = iam.create_policy(PolicyName="listing", PolicyDocument=document)["Policy"]["Arn"]
    iam.create_group(GroupName="listers")
    iam.attach_group_policy(GroupName="listers", PolicyArn=arn)
    key = new_user(server, "group-member")
    assert refusal(server.client("kms", key).list_keys) == "AccessDeniedException"
    iam.add_user_to_group(GroupName="listers", UserName="group-member")
    assert "Keys" in server.client("kms", key).list_keys()
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/group-member"},
        "Action": "sts:AssumeRole",
    }
    boundary = iam.create_policy(PolicyName="bound", PolicyDocument=policy(allow("kms:ListKeys")))["Policy"][
        "Arn"
    ]
    iam.create_role(RoleName="bounded", AssumeRolePolicyDocument=policy(trust), PermissionsBoundary=boundary)
    iam.attach_role_policy(RoleName="bounded", PolicyArn=arn)
    sts = server.client("sts", key)
    arguments = {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/bounded", "RoleSessionName": "one"}
    session = sts.assume_role(**arguments)["Credentials"]
    assert "Keys" in server.session_client("kms", session).list_keys()
    assert refusal(server.session_client("ssm", session).describe_parameters) == "AccessDeniedException"
    narrowed = sts.assume_role(**arguments, PolicyArns=[{"arn": boundary}], Policy=policy(allow("s3:*")))[
        "Credentials"
    ]
    assert "Keys" in server.session_client("kms", narrowed).list_keys()
    assert refusal(server.session_client("ssm", narrowed).describe_parameters) == "AccessDeniedException"


def test_s3_rights_and_locks(server: Server) -> None:
    s3 = server.client("s3")
    place = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True, **place)
    key = new_user(server, "s3-writer", allow(["s3:PutObject", "s3:GetObject"], "arn:aws:s3:::locked/ok/*"))
    writer = server.client("s3", key)
    version = writer.put_object(Bucket="locked", Key="ok/1", Body=b"one")["VersionId"]
    assert writer.get_object(Bucket="locked", Key="ok/1")["Body"].read() == b"one"
    assert refusal(writer.put_object, Bucket="locked", Key="other", Body=b"") == "AccessDenied"
    assert refusal(writer.list_objects_v2, Bucket="locked") == "AccessDenied"
    assert refusal(writer.delete_object, Bucket="locked", Key="ok/1") == "AccessDenied"
    assert (
        refusal(writer.delete_objects, Bucket="locked", Delete={"Objects": [{"Key": "ok/1"}]})
        == "AccessDenied"
    )
    assert refusal(writer.delete_object, Bucket="locked", Key="ok/1", VersionId=version) == "AccessDenied"
    until = datetime.now(UTC) + timedelta(days=1)
    retention = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
    assert refusal(writer.put_object, Bucket="locked", Key="ok/2", Body=b"", **retention) == "AccessDenied"
    kept = s3.put_object(Bucket="locked", Key="ok/2", Body=b"two", **retention)["VersionId"]
    assert refusal(s3.delete_object, Bucket="locked", Key="ok/2", VersionId=kept) == "AccessDenied"
    copy = {"Bucket": "locked", "Key": "ok/3", "CopySource": "locked/secret"}
    assert refusal(writer.copy_object, **copy) == "AccessDenied"


def test_kms_signing_key(server: Server) -> None:
    kms = server.client("kms")
    key_id = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    digest = hashlib.sha256(b"message").digest()
    question = {
        "KeyId": key_id,
        "Message": digest,
        "MessageType": "DIGEST",
        "SigningAlgorithm": "ECDSA_SHA_256",
    }
    signature = kms.sign(**question)["Signature"]
    assert kms.verify(**question, Signature=signature)["SignatureValid"]
    by_alias = allow("kms:Sign", StringEquals={"kms:ResourceAliases": "alias/by-name"})
    signer = server.client("kms", new_user(server, "alias-signer", by_alias))
    assert refusal(signer.sign, **question) == "AccessDeniedException"
    kms.create_alias(AliasName="alias/by-name", TargetKeyId=key_id)
    assert signer.sign(**question)["Signature"]
    assert refusal(signer.get_public_key, KeyId=key_id) == "AccessDeniedException"


def test_sqs_fifo(server: Server) -> None:
    sqs = server.client("sqs")
    queue = sqs.create_queue(QueueName="nudges.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    for _ in range(2):
        sqs.send_message(
            QueueUrl=queue, MessageBody="a&Action=x", MessageGroupId="g", MessageDeduplicationId="1"
        )
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert [one["Body"] for one in received] == ["a&Action=x"]


def test_describing_in_pages(server: Server) -> None:
    ec2 = server.client("ec2")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "page", "Value": "yes"}]}]
    for _ in range(7):
        ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, TagSpecifications=tags)
    filters = [{"Name": "tag:page", "Values": ["yes"]}]
    pages = list(
        ec2.get_paginator("describe_instances").paginate(Filters=filters, PaginationConfig={"PageSize": 5})
    )
    ids = {
        one["InstanceId"] for page in pages for group in page["Reservations"] for one in group["Instances"]
    }
    assert (len(pages), len(ids)) == (2, 7)


def test_the_log_says_who_did_what(server: Server) -> None:
    key = new_user(server, "logged")
    refusal(server.client("ssm", key).get_parameter, Name="/s/anything")
    last = server.log_path.read_text().splitlines()[-1]
    assert last.endswith(f"POST ssm GetParameter arn:aws:iam::{ACCOUNT}:user/logged 400")
    assert base64.b64encode(b"x").decode() not in json.dumps(last)
