"""Each VM's metadata service: version 2 alone, and the instance's own role."""

import json
import signal
import urllib.error
import urllib.request
from dataclasses import dataclass

import pytest

from local_cloud.vms.metadata import TOKEN_HEADER, TTL_HEADER
from tests.local_cloud.vms.conftest import Cloud, cloud_config
from tests.vms import eventually


@dataclass
class Imds:
    """The metadata service of one VM."""

    base: str

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(f"{self.base}{path}", method=method, headers=named)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, ""

    def token(self) -> str:
        status, token = self.ask("/latest/api/token", "PUT", **{TTL_HEADER: "300"})
        assert status == 200
        return token

    def get(self, path: str) -> tuple[int, str]:
        return self.ask(path, **{TOKEN_HEADER: self.token()})


@pytest.fixture(scope="module")
def instance(cloud: Cloud) -> str:
    one = cloud.launch()
    cloud.seen(one)
    return one


@pytest.fixture(scope="module")
def imds(cloud: Cloud, instance: str) -> Imds:
    return Imds(f"http://{cloud.described(instance)['PrivateIpAddress']}:1338")


def test_version_1_is_refused(imds: Imds) -> None:
    """H1: without a token there is nothing, not even a list."""
    for path in (
        "/latest/meta-data/",
        "/latest/meta-data/instance-id",
        "/latest/user-data",
        "/latest/dynamic/",
    ):
        assert imds.ask(path)[0] == 401
    assert imds.ask("/latest/meta-data/instance-id", **{TOKEN_HEADER: "made-up"})[0] == 401
    assert imds.get("/latest/meta-data/instance-id")[0] == 200


def test_tokens_are_asked_for_as_imds_wants_it(imds: Imds) -> None:
    assert imds.ask("/latest/api/token", "PUT")[0] == 400
    for ttl in ("0", "21601", "ten", "-1"):
        assert imds.ask("/latest/api/token", "PUT", **{TTL_HEADER: ttl})[0] == 400
    # What a proxy passes on for somebody else gets none.
    assert imds.ask("/latest/api/token", "PUT", **{TTL_HEADER: "60", "X-Forwarded-For": "10.0.0.1"})[0] == 403


def test_a_token_is_good_at_its_own_vm_alone_and_for_its_time(cloud: Cloud, imds: Imds) -> None:
    other = cloud.launch()
    cloud.seen(other)
    elsewhere = Imds(f"http://{cloud.described(other)['PrivateIpAddress']}:1338")
    assert elsewhere.ask("/latest/meta-data/instance-id", **{TOKEN_HEADER: imds.token()})[0] == 401
    status, short = imds.ask("/latest/api/token", "PUT", **{TTL_HEADER: "1"})
    assert status == 200
    eventually(
        lambda: imds.ask("/latest/meta-data/instance-id", **{TOKEN_HEADER: short})[0] == 401, "it stays good"
    )
    cloud.ec2.terminate_instances(InstanceIds=[other])


def test_what_it_says_of_the_instance(cloud: Cloud, imds: Imds, instance: str) -> None:
    described = cloud.described(instance)
    assert imds.get("/latest/meta-data/instance-id") == (200, instance)
    assert imds.get("/latest/meta-data/local-ipv4") == (200, described["PrivateIpAddress"])
    assert imds.get("/latest/meta-data/placement/region") == (200, "eu-west-1")
    assert imds.get("/latest/meta-data/placement/availability-zone") == (200, "eu-west-1a")
    assert imds.get("/latest/user-data") == (200, cloud_config())
    document = json.loads(imds.get("/latest/dynamic/instance-identity/document")[1])
    assert document["instanceId"] == instance
    assert document["accountId"] == "123456789012"
    assert document["privateIp"] == described["PrivateIpAddress"]
    assert "instance-id" in imds.get("/latest/meta-data/")[1].split()
    assert imds.get("/latest/meta-data/nothing")[0] == 404


def test_h4_the_credentials_are_the_instances_role(cloud: Cloud, imds: Imds, instance: str) -> None:
    assert imds.get("/latest/meta-data/iam/security-credentials/") == (200, "host")
    status, text = imds.get("/latest/meta-data/iam/security-credentials/host")
    assert status == 200
    found = json.loads(text)
    credentials = {
        "AccessKeyId": found["AccessKeyId"],
        "SecretAccessKey": found["SecretAccessKey"],
        "SessionToken": found["Token"],
    }
    identity = cloud.server.session_client("sts", credentials).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::123456789012:assumed-role/host/{instance}"
    assert imds.get("/latest/meta-data/iam/security-credentials/other")[0] == 404
    assert imds.get("/latest/meta-data/iam/security-credentials/host")[1] == text


def test_tokens_and_service_outlive_the_simulator(own_cloud: Cloud) -> None:
    one = own_cloud.launch()
    own_cloud.seen(one)
    imds = Imds(f"http://{own_cloud.described(one)['PrivateIpAddress']}:1338")
    token = imds.token()
    own_cloud.vms.end(signal.SIGKILL)
    with pytest.raises(urllib.error.URLError):
        imds.ask("/latest/meta-data/instance-id")
    own_cloud.vms.start()

    def answered() -> bool:
        try:
            return imds.ask("/latest/meta-data/instance-id", **{TOKEN_HEADER: token}) == (200, one)
        except urllib.error.URLError:
            return False

    eventually(answered, "the token of before is not taken")
    own_cloud.ec2.stop_instances(InstanceIds=[one])
    own_cloud.vms.wait_off(one)
    with pytest.raises(urllib.error.URLError):
        imds.ask("/latest/meta-data/instance-id")
