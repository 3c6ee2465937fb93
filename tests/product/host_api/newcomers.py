"""VMs that want to join, with an AWS endpoint that vouches for them."""

import json
import time
from typing import Any
from uuid import uuid4

import httpx2
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from django.conf import settings

from envforge import tenancy
from envforge_protocol.host import joining as wire
from hosts.models import Host, HostToken
from local_cloud.aws import instance_credentials
from local_cloud.aws.instance_credentials import InstanceCredentialsRefusedError
from tests.aws.conftest import Server
from tests.product.host_api.machines import change

EC2_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
ROLE = "host"
IMAGE = "ami-12345678"


class Cloud:
    """An AWS endpoint with the host role, another role, and instances of both."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.region = settings.AWS_REGION
        iam = server.client("iam", region=self.region)
        self.role_ids = {}
        for name in (ROLE, "other"):
            made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=EC2_TRUST)
            self.role_ids[name] = made["Role"]["RoleId"]
            iam.create_instance_profile(InstanceProfileName=name)
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)

    def instance(self, role: str = ROLE) -> str:
        ec2 = self.server.client("ec2", region=self.region)
        ran = ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": role})
        return str(ran["Instances"][0]["InstanceId"])

    def credentials(self, instance_id: str, role: str = ROLE) -> Credentials:
        deadline = time.monotonic() + 20
        while True:
            try:
                minted = instance_credentials.mint(
                    self.server.url, self.server.root, self.region, role_name=role, instance_id=instance_id
                )
            except InstanceCredentialsRefusedError:
                # It is still booting.
                assert time.monotonic() < deadline
                time.sleep(0.2)
                continue
            return Credentials(minted["AccessKeyId"], minted["SecretAccessKey"], minted["Token"])


class Newcomer:
    """A VM that wants to join, as its daemon does it."""

    def __init__(self, address: str, cloud: Cloud, host: Host, role: str = ROLE) -> None:
        self.address = address
        self.cloud = cloud
        self.host = host
        self.instance_id = cloud.instance(role)
        change(host, instance_id=self.instance_id, joined_at=None)
        self.credentials = cloud.credentials(self.instance_id, role)
        self.boot_id = uuid4()

    def post(self, path: str, body: Any) -> httpx2.Response:
        headers = {"Host": settings.HOST_API_HOST, "EnvForge-Protocol": "1"}
        with httpx2.Client(base_url=self.address, timeout=30, headers=headers) as client:
            return client.post(f"/host/v1/{path}", json=body)

    def nonce(self, instance_id: str = "") -> dict[str, Any]:
        answer = self.post("nonces", {"instance_id": instance_id or self.instance_id})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def sign(
        self, nonce: str, *, audience: str = "", region: str = "", unsigned: str = "", **more: str
    ) -> dict[str, str]:
        headers = {
            "Content-Type": wire.IDENTITY_CONTENT_TYPE,
            wire.NONCE_HEADER: nonce,
            wire.AUDIENCE_HEADER: audience or settings.HOST_API_URL,
        }
        headers.pop(unsigned, None)
        request = AWSRequest("POST", settings.STS_URL + "/", headers | more, wire.IDENTITY_BODY)
        SigV4Auth(self.credentials, "sts", region or settings.AWS_REGION).add_auth(request)
        return {
            "amz_date": request.headers["X-Amz-Date"],
            "authorization": request.headers["Authorization"],
            "security_token": request.headers["X-Amz-Security-Token"],
        }

    def request(self, **changes: Any) -> dict[str, Any]:
        nonce = changes.pop("nonce", None) or self.nonce()["nonce"]
        identity = changes.pop("identity", None) or self.sign(nonce)
        return {
            "instance_id": self.instance_id,
            "generation": self.host.generation,
            "nonce": nonce,
            "identity": identity,
            "boot_id": str(self.boot_id),
            "daemon_version": "1.0.0",
            "image_version": "2026.11",
        } | changes

    def join(self, **changes: Any) -> httpx2.Response:
        return self.post("join", self.request(**changes))

    def refused(self, word: str, **changes: Any) -> None:
        answer = self.join(**changes)
        assert (answer.status_code, answer.json()["word"]) == (403, word)
        with tenancy.enter(self.host.org_id):
            assert not HostToken.objects.filter(host=self.host).exists()
