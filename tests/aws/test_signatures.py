"""The signature of every request is verified, and refused as AWS refuses it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
from botocore import auth
from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

from local_cloud.aws.identities import AccessKey
from tests.aws.conftest import REGION, Server, allow, new_user, refusal

FORM = "application/x-www-form-urlencoded; charset=utf-8"
WHO_AM_I = b"Action=GetCallerIdentity&Version=2011-06-15"
UNKNOWN = AccessKey("AKIAUNKNOWNUNKNOWN22", "x" * 40)


@contextmanager
def signing_time(moment: datetime) -> Iterator[None]:
    """Move the signer's clock; the endpoint's own stays."""
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
        yield


def signed(
    server: Server, service: str, method: str, path: str, body: bytes, headers: dict[str, str]
) -> AWSRequest:
    request = AWSRequest(method, server.url + path, headers, body)
    signer: Any = auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth
    signer(_credentials(server.root), service, REGION).add_auth(request)
    return request


def _credentials(key: AccessKey) -> Credentials:
    return Credentials(key.access_key_id, key.secret_access_key)


def send(request: AWSRequest | AWSPreparedRequest) -> tuple[int, str]:
    prepared = request.prepare() if isinstance(request, AWSRequest) else request
    answer = URLLib3Session(timeout=10).send(prepared)
    return answer.status_code, answer.text


def who_am_i(server: Server) -> AWSRequest:
    return signed(server, "sts", "POST", "/", WHO_AM_I, {"Content-Type": FORM})


def test_a_signed_request_is_answered(server: Server) -> None:
    status, text = send(who_am_i(server))
    assert status == HTTPStatus.OK
    assert "<Arn>arn:aws:iam::123456789012:root</Arn>" in text


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code"),
    [
        ("sts", "get_caller_identity", {}, "InvalidClientTokenId"),
        ("iam", "list_users", {}, "InvalidClientTokenId"),
        ("ec2", "describe_instances", {}, "AuthFailure"),
        ("ssm", "describe_parameters", {}, "UnrecognizedClientException"),
        ("kms", "list_keys", {}, "UnrecognizedClientException"),
        ("s3", "list_buckets", {}, "InvalidAccessKeyId"),
    ],
)
def test_an_unknown_key(
    server: Server, service: str, operation: str, arguments: dict[str, str], code: str
) -> None:
    assert refusal(getattr(server.client(service, UNKNOWN), operation), **arguments) == code


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ("iam", "list_users", "SignatureDoesNotMatch"),
        ("ec2", "describe_instances", "AuthFailure"),
        ("ssm", "describe_parameters", "InvalidSignatureException"),
        ("kms", "list_keys", "InvalidSignatureException"),
        ("s3", "list_buckets", "SignatureDoesNotMatch"),
    ],
)
def test_a_wrong_secret(server: Server, service: str, operation: str, code: str) -> None:
    wrong = AccessKey(server.root.access_key_id, "y" * 40)
    assert refusal(getattr(server.client(service, wrong), operation)) == code


def test_a_deactivated_key_is_unknown(server: Server) -> None:
    key = new_user(server, "signatures-deactivated")
    assert server.client("sts", key).get_caller_identity()["Arn"].endswith(":user/signatures-deactivated")
    server.client("iam").update_access_key(
        UserName="signatures-deactivated", AccessKeyId=key.access_key_id, Status="Inactive"
    )
    assert refusal(server.client("sts", key).get_caller_identity) == "InvalidClientTokenId"


def test_no_signature(server: Server) -> None:
    form = {"Content-Type": FORM}
    assert "MissingAuthenticationToken" in send(AWSRequest("POST", server.url + "/", form, WHO_AM_I))[1]
    target = {"X-Amz-Target": "AmazonSSM.GetParameter"}
    assert (
        "MissingAuthenticationTokenException" in send(AWSRequest("POST", server.url + "/", target, b"{}"))[1]
    )
    assert "AccessDenied" in send(AWSRequest("GET", server.url + "/bucket/key"))[1]


def test_a_changed_body(server: Server) -> None:
    request = who_am_i(server)
    request.data = WHO_AM_I + b"&X=1"
    status, text = send(request)
    assert (status, "SignatureDoesNotMatch" in text) == (403, True)


def test_a_changed_body_in_s3(server: Server) -> None:
    server.client("s3").create_bucket(
        Bucket="changed", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    request = signed(server, "s3", "PUT", "/changed/key", b"as signed", {})
    request.data = b"otherwise"
    assert "XAmzContentSHA256Mismatch" in send(request)[1]
    assert refusal(server.client("s3").get_object, Bucket="changed", Key="key") == "NoSuchKey"


def test_a_changed_query(server: Server) -> None:
    request = signed(server, "s3", "GET", "/?prefix=a", b"", {})
    request.url = f"{server.url}/?prefix=b"
    assert "SignatureDoesNotMatch" in send(request)[1]


def test_a_changed_header(server: Server) -> None:
    request = signed(server, "sts", "POST", "/", WHO_AM_I, {"Content-Type": FORM, "X-EnvForge-Nonce": "one"})
    assert send(request)[0] == HTTPStatus.OK
    request.headers.replace_header("X-EnvForge-Nonce", "two")
    assert "SignatureDoesNotMatch" in send(request)[1]


def test_an_added_amazon_header_must_be_signed(server: Server) -> None:
    request = who_am_i(server)
    request.headers["X-Amz-Added"] = "1"
    assert "SignatureDoesNotMatch" in send(request)[1]


def test_another_path(server: Server) -> None:
    request = signed(server, "s3", "GET", "/bucket/one", b"", {})
    request.url = f"{server.url}/bucket/two"
    assert "SignatureDoesNotMatch" in send(request)[1]


@pytest.mark.parametrize("minutes", [-16, 16])
@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ("ssm", "describe_parameters", "InvalidSignatureException"),
        ("ec2", "describe_instances", "RequestExpired"),
        ("s3", "list_buckets", "RequestTimeTooSkewed"),
    ],
)
def test_a_request_from_another_time(
    server: Server, service: str, operation: str, code: str, minutes: int
) -> None:
    with signing_time(datetime.now(UTC) + timedelta(minutes=minutes)):
        assert refusal(getattr(server.client(service), operation)) == code


def test_a_replay_is_refused_once_its_time_is_over(server: Server) -> None:
    with signing_time(datetime.now(UTC) - timedelta(minutes=14)):
        in_time = who_am_i(server)
    with signing_time(datetime.now(UTC) - timedelta(minutes=16)):
        late = who_am_i(server)
    assert send(in_time)[0] == HTTPStatus.OK
    assert send(late)[0] == HTTPStatus.FORBIDDEN


def test_a_session_token_of_another_session(server: Server) -> None:
    key = new_user(server, "signatures-assumer", allow("sts:AssumeRole"))
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "sts:AssumeRole",
    }
    server.client("iam").create_role(
        RoleName="signatures-role",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )
    arn = "arn:aws:iam::123456789012:role/signatures-role"
    sts = server.client("sts", key)
    one, two = (sts.assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"] for name in ("one", "two"))
    assert server.session_client("sts", one).get_caller_identity()["Arn"].endswith("signatures-role/one")
    mixed = one | {"SessionToken": two["SessionToken"]}
    assert refusal(server.session_client("sts", mixed).get_caller_identity) == "InvalidClientTokenId"
    bare = AccessKey(one["AccessKeyId"], one["SecretAccessKey"])
    assert refusal(server.client("sts", bare).get_caller_identity) == "InvalidClientTokenId"


def test_presigned_identity_tells_who_signed_it(server: Server) -> None:
    key = new_user(server, "signatures-presigner")
    url = server.client("sts", key).generate_presigned_url(
        "get_caller_identity", ExpiresIn=60, HttpMethod="GET"
    )
    assert "user/signatures-presigner" in send(AWSRequest("GET", url))[1]
    json_answer = send(AWSRequest("GET", url, {"Accept": "application/json"}))[1]
    result = json.loads(json_answer)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
    assert result["Arn"].endswith("user/signatures-presigner")
    changed = url.replace("GetCallerIdentity", "AssumeRole")
    assert "SignatureDoesNotMatch" in send(AWSRequest("GET", changed))[1]
    with signing_time(datetime.now(UTC) - timedelta(seconds=90)):
        late = server.client("sts", key).generate_presigned_url(
            "get_caller_identity", ExpiresIn=60, HttpMethod="GET"
        )
    assert send(AWSRequest("GET", late))[0] == HTTPStatus.FORBIDDEN


def test_presigned_s3(server: Server) -> None:
    s3 = server.client("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="presigned", CreateBucketConfiguration={"LocationConstraint": REGION})
    place = {"Bucket": "presigned", "Key": "a b/ü+&c"}
    put, get = (
        s3.generate_presigned_url(name, Params=place, ExpiresIn=60) for name in ("put_object", "get_object")
    )
    assert send(AWSRequest("PUT", put, {}, b"content"))[0] == HTTPStatus.OK
    assert send(AWSRequest("GET", get)) == (200, "content")
    assert "SignatureDoesNotMatch" in send(AWSRequest("PUT", get, {}, b"other"))[1]
    assert "SignatureDoesNotMatch" in send(AWSRequest("GET", get.replace("a%20b", "a%20c")))[1]
    with signing_time(datetime.now(UTC) - timedelta(seconds=90)):
        late = s3.generate_presigned_url("get_object", Params=place, ExpiresIn=60)
    status, text = send(AWSRequest("GET", late))
    assert (status, "Request has expired" in text) == (403, True)


def _chunked(
    server: Server, chunks: list[bytes], change: tuple[bytes, bytes] = (b"", b"")
) -> tuple[int, str]:
    """A PUT in signed chunks, with the signatures computed as S3's documentation says."""
    framed_length = sum(
        len(f"{len(one):x};chunk-signature={'0' * 64}\r\n\r\n") + len(one) for one in [*chunks, b""]
    )
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "X-Amz-Decoded-Content-Length": str(sum(map(len, chunks))),
    }

    request = AWSRequest("PUT", server.url + "/chunked/key", headers, b"")
    signer: Any = auth.S3SigV4Auth(_credentials(server.root), "s3", REGION)
    signer.payload = lambda _request: headers["X-Amz-Content-SHA256"]
    signer.add_auth(request)
    previous = request.headers["Authorization"].rpartition("Signature=")[2]
    body = b""
    for chunk in [*chunks, b""]:
        to_sign = "\n".join((
            "AWS4-HMAC-SHA256-PAYLOAD",
            request.context["timestamp"],
            signer.credential_scope(request),
            previous,
            hashlib.sha256(b"").hexdigest(),
            hashlib.sha256(chunk).hexdigest(),
        ))  # fmt: skip
        previous = signer.signature(to_sign, request)
        body += f"{len(chunk):x};chunk-signature={previous}\r\n".encode() + chunk + b"\r\n"
    assert len(body) == framed_length
    request.data = body.replace(*change) if change[0] else body
    return send(request)


def test_signed_chunks(server: Server) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="chunked", CreateBucketConfiguration={"LocationConstraint": REGION})
    assert _chunked(server, [b"first part, ", b"second part"])[0] == HTTPStatus.OK
    assert s3.get_object(Bucket="chunked", Key="key")["Body"].read() == b"first part, second part"
    status, text = _chunked(server, [b"first part, ", b"second part"], change=(b"second", b"sekond"))
    assert (status, "SignatureDoesNotMatch" in text) == (403, True)


def test_a_parameter_in_query_and_body_is_refused(server: Server) -> None:
    request = signed(
        server, "iam", "POST", "/?Action=ListUsers", b"Action=DeleteUser", {"Content-Type": FORM}
    )
    assert "InvalidParameterCombination" in send(request)[1]


def test_health_needs_no_signature(server: Server) -> None:
    assert send(AWSRequest("GET", server.url + "/health")) == (200, "ready\n")
    assert urlsplit(server.url).hostname == "127.0.0.1"


def test_what_is_not_offered_is_said(server: Server) -> None:
    with pytest.raises(ClientError, match="UnknownService"):
        server.client("sns").list_topics()
