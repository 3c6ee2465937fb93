"""A real endpoint as a process on loopback, and the ways the tests speak to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_cloud.aws.identities import AccessKey

REGION = "eu-west-1"
ACCOUNT = "123456789012"


@dataclass
class Server:
    """The endpoint's process, which a test may end and start again on the same state."""

    state: Path
    log_path: Path
    port: int = 0
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    clients: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def root(self) -> AccessKey:
        return AccessKey(**json.loads((self.state / "root-key.json").read_text()))

    def start(self) -> None:
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        command = [
            sys.executable,
            "-m",
            "local_cloud.aws",
            "--port",
            str(self.port),
            "--state",
            str(self.state),
            *self.options,
        ]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:  # noqa: S310 - loopback
                    assert answer.status == 200
                    return
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None, self.log_path.read_text()
                assert time.monotonic() < deadline, "the endpoint did not become ready"
                time.sleep(0.02)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=20)

    def client(
        self, service: str, key: AccessKey | None = None, token: str | None = None, **options: Any
    ) -> Any:
        key = key or self.root
        named = repr(
            (service, key.access_key_id, key.secret_access_key, token, self.port, sorted(options.items()))
        )
        if named not in self.clients:
            self.clients[named] = self._connect(service, key, token, **options)
        return self.clients[named]

    def _connect(self, service: str, key: AccessKey, token: str | None, **options: Any) -> Any:
        connect: Any = boto3.client
        return connect(
            service,
            endpoint_url=self.url,
            region_name=options.pop("region", REGION),
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, **options),
        )

    def session_client(self, service: str, credentials: dict[str, Any]) -> Any:
        key = AccessKey(credentials["AccessKeyId"], credentials["SecretAccessKey"])
        return self.client(service, key, credentials["SessionToken"])


def new_server(directory: Path) -> Server:
    return Server(directory / "state", directory / "endpoint.log")


def new_user(server: Server, name: str, *statements: dict[str, Any]) -> AccessKey:
    """An IAM user with these statements as its inline policy."""
    iam = server.client("iam")
    iam.create_user(UserName=name)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return AccessKey(made["AccessKeyId"], made["SecretAccessKey"])


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | list[str], resources: str | list[str] = "*", **condition: Any) -> dict[str, Any]:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | ({"Condition": condition} if condition else {})


def refusal(call: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The error code the endpoint answers with."""
    with pytest.raises(ClientError) as refused:
        call(*args, **kwargs)
    return str(refused.value.response["Error"]["Code"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = new_server(tmp_path_factory.mktemp("aws"))
    running.start()
    yield running
    assert running.end() == 0


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of one test, which may end it."""
    running = new_server(tmp_path)
    running.start()
    yield running
    if running.process is not None and running.process.poll() is None:
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
