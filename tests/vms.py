"""VMs for tests: a simulator beside an AWS endpoint, and the ways a test plays with it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from local_cloud.aws.control_client import ControlClient
from local_cloud.aws.identities import AccessKey
from local_cloud.environment import ambient
from local_cloud.supervisor import LAUNCHER
from local_cloud.vms import tampering
from local_cloud.vms.machines import Machine, remove_all


@dataclass
class Vms:
    """A running simulator. `client` is the AWS endpoint's control door: faults, and acts from outside.

    VMs are run for what `include` named, since several tests share an endpoint; `everything` runs all. With `account` (a
    number) it runs as that user and group; `python` is the interpreter and where it finds more packages.
    """

    client: ControlClient
    root_key_file: Path
    directory: Path
    daemon: str = "envforge_daemon"
    everything: bool = False
    stop_grace_s: float = 0.3
    account: int | None = None
    plain_git_host: str = ""
    python: tuple[str, str] = (sys.executable, "")
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def state(self) -> Path:
        return self.directory / "vms"

    @property
    def log(self) -> Path:
        return self.directory / "simulator.log"

    def start(self) -> None:
        """Start the simulator, and wait until it watches."""
        account = str(self.account) if self.account is not None else "-"
        command = [
            # Tied to the test's process: who kills that must not be left with VMs.
            *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(signal.SIGTERM))),
            *(account, account),
            *(self.python[0], "-m", "local_cloud.vms", "--aws-url", self.client.endpoint_url),
            *("--root-key-file", str(self.root_key_file), "--region", self.client.region),
            *("--state", str(self.state), "--files", str(self.directory / "files")),
            *("--hide", str(self.directory / "hidden"), "--daemon", self.daemon),
            *("--volumes", str(self.directory / "volumes")),
            *("--stop-grace-s", str(self.stop_grace_s)),
            *(("--plain-git-host", self.plain_git_host) if self.plain_git_host else ()),
            *(() if self.everything else ("--only", str(self.directory / "only.json"))),
        ]
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            environment = ambient(os.environ)
            environment["PYTHONPATH"] += f":{self.python[1]}"
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

        def is_watching() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            return b"ready:" in self.log.read_bytes()[before:]

        eventually(is_watching, "the simulator did not become ready")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the simulator: SIGTERM takes the VMs' power, SIGKILL leaves them running."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def include(self, *names: str) -> None:
        """Run VMs for these: instance ids, or values of a tag such as an organization's id."""
        path = self.directory / "only.json"
        known = json.loads(path.read_text()) if path.exists() else []
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps([*known, *names]))
        partial.replace(path)

    def machine(self, instance_id: str) -> Machine:
        """The VM of an instance, as it is now."""
        return Machine(self.state / instance_id)

    def is_on(self, instance_id: str) -> bool:
        """Whether the VM runs."""
        return self.machine(instance_id).is_on

    def wait_on(self, instance_id: str) -> Machine:
        """Wait until the VM runs."""
        eventually(lambda: self.is_on(instance_id), f"{instance_id} did not boot")
        return self.machine(instance_id)

    def wait_off(self, instance_id: str) -> None:
        """Wait until nothing of the VM runs."""
        eventually(lambda: not self.is_on(instance_id), f"{instance_id} did not end")

    def crash(self, instance_id: str) -> None:
        """All of the VM's processes end; EC2 does not notice."""
        tampering.crash(self.state, instance_id)

    def freeze(self, instance_id: str) -> None:
        """The daemon stands still."""
        tampering.freeze(self.state, instance_id)

    def thaw(self, instance_id: str) -> None:
        """The daemon goes on."""
        tampering.thaw(self.state, instance_id)

    def kill_daemon(self, instance_id: str) -> None:
        """The daemon alone is killed, and started again by its init."""
        tampering.kill_daemon(self.state, instance_id)

    def console(self, instance_id: str) -> str:
        """What the VM wrote to its console, the daemon's output included."""
        return self.machine(instance_id).console_end().decode()

    def clean_up(self) -> None:
        """End everything, and remove the disks."""
        if self.process is not None and self.process.poll() is None:
            self.end()
        remove_all(self.state)
        shutil.rmtree(self.directory, ignore_errors=True)


def eventually(true: Callable[[], Any], complaint: str, within_s: float = 20.0) -> Any:
    """Wait until something holds; what it gave."""
    deadline = time.monotonic() + within_s
    while True:
        found = true()
        if found:
            return found
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


def new_directory() -> Path:
    """A directory outside of pytest's, which are closed to other accounts."""
    directory = Path(tempfile.mkdtemp(prefix="envforge-vms-"))
    directory.chmod(0o755)
    (directory / "hidden").mkdir()
    return directory


@pytest.fixture(scope="session")
def vms() -> Iterator[Vms]:
    """A fast VM simulator beside the AWS endpoint that the product under test uses, one for each test process.

    Instances the product runs get no VM until a test asks for it, by organization or instance:

        def test_a_host_joins(vms, live_server, settings):
            settings.HOST_API_URL = live_server.url
            vms.include(str(org.id))  # before or after RunInstances
            ...
            vms.wait_on(instance_id)
            vms.crash(instance_id); vms.freeze(instance_id); vms.kill_daemon(instance_id)
            vms.client.act("reclaim", instance_id)  # also stop, vanish, impair, heal
            fault = vms.client.add_fault("no_capacity", about=str(org.id), times=2)
            print(vms.console(instance_id))

    Other test processes use the same endpoint: give faults an `about`, so that they meet nobody else's requests (an id that
    stands in the request, or in a tag of an instance it names).
    """
    key_file = Path(os.environ["ENVFORGE_TEST_AWS_ROOT_KEY_FILE"])
    key = AccessKey(**json.loads(key_file.read_text()))
    client = ControlClient(os.environ["AWS_ENDPOINT_URL"], key, os.environ["AWS_REGION"])
    git_host = urlsplit(os.environ["ENVFORGE_TEST_GIT_URL"]).netloc
    running = Vms(client, key_file, new_directory(), plain_git_host=git_host)
    running.start()
    yield running
    running.clean_up()
