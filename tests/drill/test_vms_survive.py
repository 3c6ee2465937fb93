"""VMs while what drives them is killed: each drill ends in the wanted state, with one VM, every command over once, no event lost.

One whole product runs all of them; each has a workspace, a VM and a volume of its own (issue of VMs, W11, DESIGN 1).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from local_cloud.aws.control_client import ControlClient
from local_cloud.aws.identities import AccessKey
from local_cloud.cloud import Cloud, exclusive, plan
from local_cloud.console import Console
from local_cloud.environment import REGION
from local_cloud.home import REPOSITORY, Home
from local_cloud.supervisor import Supervisor
from local_cloud.vms import tampering
from local_cloud.whole import start_whole
from tests.drill.accounts import chain_is_whole, count, read_ledger
from tests.drill.killing import eventually, family, kill, wait_until_back

pytestmark = pytest.mark.drill

ORG = "acme"
JOINED_WITHIN_S = 90.0
# A host that a killed worker had leased is taken up again after hosts.reconcile.LEASE.
TAKEN_UP_WITHIN_S = 180.0
# A VM that goes before any comparison with EC2 has seen it (every 30 s) is missed by none, and found by its silence (hosts.steps.SILENT_AFTER).
FOUND_WITHIN_S = 300.0
DOWN_S = 60.0


@dataclass
class Fleet:
    """The product that runs, and one workspace in it."""

    cloud: Cloud
    supervisor: Supervisor
    papers: Path
    workspace: str = ""

    @property
    def aws(self) -> ControlClient:
        key = AccessKey(**json.loads(self.cloud.aws_root_key_file.read_text()))
        return ControlClient(self.cloud.aws_url, key, REGION)

    def act(self, name: str, *words: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "tests.drill.vm_acts", ORG, name, *words]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=self.cloud.environment("web"), check=True, stdout=subprocess.PIPE
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def state(self) -> dict[str, Any]:
        return self.act("state", self.workspace)

    def until(self, holds: Callable[[dict[str, Any]], Any], within_s: float, what: str) -> dict[str, Any]:
        """Wait for a state; answers it."""
        last: list[dict[str, Any]] = []

        def look() -> bool:
            last[:] = [self.state()]
            return bool(holds(last[0]))

        try:
            eventually(look, within_s, what)
        except AssertionError as failed:
            raise AssertionError(f"{failed}: {last}") from None
        return last[0]

    def instances(self, host: str) -> list[dict[str, Any]]:
        """What EC2 has of a host and has not ended."""
        listed = self.aws.instances()[1] or []
        alive = {"pending", "running", "stopping", "stopped"}
        return [one for one in listed if one["tags"].get("envforge:host") == host and one["state"] in alive]

    def awake(self) -> dict[str, Any]:
        placed = self.act("awake")
        self.workspace = placed["workspace"]
        return placed

    def ready(self) -> dict[str, Any]:
        return self.until(lambda one: one["ready"] and one["attached"], JOINED_WITHIN_S, "a VM that works")

    def ends_well(self, *, commands: int = 0) -> None:
        """The wanted state: one VM that works with its volume, every command over with an outcome, the audit whole."""
        ended = self.until(
            lambda one: one["ready"] and one["attached"] and all(each["over"] for each in one["commands"]),
            TAKEN_UP_WITHIN_S,
            "the wanted state",
        )
        assert len(ended["commands"]) == commands
        assert all(one["outcome"] for one in ended["commands"]), ended
        [only] = self.instances(ended["host"])
        assert (only["instance_id"], only["state"]) == (ended["instance"], "running")
        events = f"SELECT count(*) FROM audit_event WHERE target_id = '{ended['host']}' AND kind"
        assert count(self.cloud, f"{events} = 'host.requested'") == 1
        assert count(self.cloud, f"{events} = 'host.replaced'") == ended["generation"] - 1
        assert count(self.cloud, f"{events} = 'host.started'") >= ended["generation"]
        unsigned = "SELECT count(*) FROM audit_chain_head WHERE signed_seq < seq"
        eventually(lambda: count(self.cloud, unsigned) == 0, 90, "every chain signed through its end")
        chain_is_whole(read_ledger(self.cloud, ORG, self.papers))


@pytest.fixture(scope="module")
def product() -> Iterator[tuple[Cloud, Supervisor]]:
    named = os.environ.get("ENVFORGE_DRILL_HOME")
    if named is None:
        pytest.fail("Drills start and kill the whole product: run them by ./dev drill.")
    home = Home(Path(named)).nested("vms")
    for entry in home.root.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with ExitStack() as stack:
        stack.enter_context(exclusive(home, "drill"))
        supervisor = stack.enter_context(Supervisor(home, console=Console()))
        yield start_whole(plan(home, {}, apart=True), supervisor, Console()), supervisor


@pytest.fixture
def fleet(product: tuple[Cloud, Supervisor]) -> Iterator[Fleet]:
    made = Fleet(*product, papers=product[0].home.directory("papers"))
    yield made
    made.aws.clear_faults()


def test_w11_a_worker_killed_after_run_instances_and_before_recording(fleet: Fleet) -> None:
    """W11: EC2 has made the VM and its answer is on its way; the worker is gone, for good, when it comes."""
    fault = fleet.aws.add_fault("hold_answer", action="RunInstances", for_s=120)
    placed = fleet.awake()
    eventually(lambda: len(fleet.instances(placed["host"])) == 1, 30, "an instance that nobody has recorded")
    assert fleet.state()["instance"] == ""
    leader, _, _ = kill(fleet.supervisor, "worker", whole=True)
    fleet.aws.clear_faults(fault)
    wait_until_back(fleet.supervisor, "worker", leader)
    fleet.ends_well()


def test_w11_a_daemon_killed_in_the_middle_of_a_command(fleet: Fleet) -> None:
    """W11: its lease runs out, the VM's next daemon is given the command again, and it ends once."""
    fleet.awake()
    ready = fleet.ready()
    fleet.act("start", fleet.workspace, "start-1")
    fleet.until(lambda one: one["commands"][0]["attempts"] == 1, 20, "a command under way")
    time.sleep(2)
    tampering.kill_daemon(fleet.cloud.vms_directory, ready["instance"])
    fleet.ends_well(commands=1)
    assert fleet.state()["commands"][0]["attempts"] >= 2
    fleet.act("stop", fleet.workspace, "stop-1")
    fleet.ends_well(commands=2)


def test_w11_a_vm_that_vanished_is_replaced_and_its_volume_follows(fleet: Fleet) -> None:
    """W11: EC2 forgets it at once; the next one has the same volume."""
    fleet.awake()
    before = fleet.ready()
    fleet.aws.act("vanish", before["instance"])
    after = fleet.until(
        lambda one: one["generation"] == 2 and one["ready"] and one["attached"],
        FOUND_WITHIN_S + TAKEN_UP_WITHIN_S,
        "the next one",
    )
    assert after["volume"] == before["volume"]
    assert after["instance"] != before["instance"]
    fleet.ends_well()


def test_w11_the_control_plane_is_away_for_a_minute_while_the_daemon_works(fleet: Fleet) -> None:
    """W11: whatever was begun goes on, and its result is told when somebody listens again."""
    fleet.awake()
    fleet.ready()
    fleet.act("start", fleet.workspace, "start-1")
    fleet.until(lambda one: one["commands"][0]["attempts"] == 1, 20, "a command under way")
    until = time.monotonic() + DOWN_S
    leader = 0
    while time.monotonic() < until:
        # The supervisor brings it back at once; it is killed again until the minute is over.
        try:
            pid = fleet.supervisor.pid("web")
        except LookupError:
            pid = 0
        if pid and pid != leader:
            leader = pid
            for each in family(pid):
                os.kill(each, signal.SIGKILL)
        time.sleep(0.1)
    fleet.ends_well(commands=1)


def test_w11_an_emptied_broker_costs_time_alone(fleet: Fleet) -> None:
    """W11: every nudge there was is gone; the sweeps find what is due."""
    placed = fleet.awake()
    for _ in range(20):
        with redis.Redis.from_url(fleet.cloud.valkey.url(0)) as client:
            client.flushall()
        time.sleep(0.25)
    assert placed["host"]
    fleet.ends_well()


def test_w11_two_workers_on_one_host_make_one_vm(fleet: Fleet) -> None:
    """W11: several processes take its steps at once, beside the product's own worker."""
    placed = fleet.awake()
    command = [sys.executable, "-m", "tests.drill.vm_acts", ORG, "race", placed["host"]]
    racers = [
        subprocess.Popen(command, cwd=REPOSITORY, env=fleet.cloud.environment("worker")) for _ in range(2)
    ]
    assert [one.wait(timeout=60) for one in racers] == [0, 0]
    fleet.ends_well()
