"""An AWS endpoint and a simulator of the tests' own, with a stand-in for the daemon."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local_cloud.aws.control_client import ControlClient
from tests.aws.conftest import REGION, Server, policy
from tests.vms import Vms, eventually, new_directory

IMAGE = "ami-12345678"
TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}


def cloud_config(**document: Any) -> str:
    """User data that starts the stand-in; `document` replaces or adds."""
    host = {"host_id": "0b0e9e0e-0000-4000-8000-0000000abcde", "generation": 1}
    whole = {
        "write_files": [{"path": "/etc/envforge/host.json", "content": json.dumps(host)}],
        "runcmd": [["systemctl", "enable", "--now", "envforge-daemon.service"]],
    } | document
    return f"#cloud-config\n{json.dumps(whole)}\n"


@dataclass
class Cloud:
    """The endpoint, the simulator, and clients of both."""

    server: Server
    vms: Vms

    @property
    def ec2(self) -> Any:
        return self.server.client("ec2")

    def launch(self, user_data: str = "", **parameters: Any) -> str:
        """Run an instance with the profile `host`; its id."""
        made = self.ec2.run_instances(
            ImageId=IMAGE,
            MinCount=1,
            MaxCount=1,
            UserData=user_data or cloud_config(),
            IamInstanceProfile={"Name": "host"},
            **parameters,
        )
        return str(made["Instances"][0]["InstanceId"])

    def described(self, instance_id: str) -> dict[str, Any]:
        """The instance as DescribeInstances gives it."""
        found = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        return dict(found)

    def seen(self, instance_id: str, *, after: int | None = None) -> dict[str, Any]:
        """What the stand-in saw, once it saw it; with `after`, one that is not the process of that number."""
        path = self.vms.state / instance_id / "disk" / "var" / "lib" / "envforge" / "seen.json"

        def read() -> dict[str, Any] | None:
            found = json.loads(path.read_text()) if path.exists() else None
            return found if found and found["marker"] != after else None

        return dict(eventually(read, f"no stand-in ran: {self.vms.console(instance_id)}"))

    def console_output(self, instance_id: str) -> str:
        """What GetConsoleOutput gives."""
        return str(self.ec2.get_console_output(InstanceId=instance_id).get("Output", ""))


def new_cloud(**delays: float) -> Cloud:
    """An endpoint and a simulator that both run, with a role `host` in the profile `host`."""
    directory = new_directory()
    options = [word for name, value in delays.items() for word in (f"--{name}-s", str(value))]
    server = Server(directory / "hidden" / "aws", directory / "aws.log", options=tuple(options))
    server.start()
    iam = server.client("iam")
    iam.create_role(RoleName="host", AssumeRolePolicyDocument=policy(TRUST))
    iam.create_instance_profile(InstanceProfileName="host")
    iam.add_role_to_instance_profile(InstanceProfileName="host", RoleName="host")
    vms = Vms(
        client=ControlClient(server.url, server.root, REGION),
        root_key_file=server.state / "root-key.json",
        directory=directory,
        daemon="tests.local_cloud.vms.standin",
        everything=True,
    )
    vms.start()
    return Cloud(server, vms)


def end(cloud: Cloud) -> None:
    """Stop both, whatever state a test left them in."""
    if cloud.vms.process is not None and cloud.vms.process.poll() is None:
        cloud.vms.end()
    if cloud.server.process is not None and cloud.server.process.poll() is None:
        cloud.server.end()
    cloud.vms.clean_up()


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """A cloud that the tests of a file share."""
    running = new_cloud()
    yield running
    end(running)


@pytest.fixture
def own_cloud() -> Iterator[Cloud]:
    """A cloud of one test, which may kill its parts."""
    running = new_cloud()
    yield running
    end(running)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
