"""The main job over real VMs: both example services from the Git host to their ingress, in one world whose tests are in order.

A VM simulator, the VM's program, PostgreSQL, the parameter store and the Git host are all real; nothing is played.
"""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.test import override_settings

from envforge import tenancy
from envforge.host_forms import Files
from envforge_protocol.host.commands import RunCommand
from envforge_protocol.host.runtimes import Limits
from hosts import files, reconcile
from secrets_ref.models import Consumption, Secret
from tests.product.host_api.conftest import address
from tests.product.store import root as store_root
from tests.product.workspaces.real import BRANCH, Real
from tests.product.world import World
from tests.vms import Vms
from workspaces.models import MeterWindow
from workspaces.operations.workspaces import delete_workspace
from workspaces.wire import on_vm

__all__ = ["address"]  # a fixture


@pytest.fixture(scope="module")
def real(vms: Vms, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with override_settings(
        HOST_API_HOST=urlsplit(address).hostname,
        HOST_API_URL=address,
        WORKSPACE_FILES=Files("directory", str(vms.directory / "files")),
    ):
        made = Real(World(), vms, tmp_path_factory.mktemp("repositories"))
        yield made
        made.end()


def test_w5_the_shell_comes_first_and_proposes_contracts(real: Real) -> None:
    """W5, H2: the trees lie there, read from a Git host by a token that only the VM saw; their contracts wait for review."""
    real.shell_ready()
    trees = real.checkouts()
    assert {name: (one.branch, one.problem, one.dirty) for name, one in trees.items()} == {
        "scheduler-backend": (BRANCH, "", False),
        "scheduler-web": (BRANCH, "", False),
    }
    assert (real.tree("scheduler-web") / "envforge.yml").exists()
    assert real.runtime().observed == "asleep"


def test_w1_w2_nothing_wakes_before_it_is_reviewed_and_bound(real: Real) -> None:
    """W1, W2: said in words, by name; and nothing was metered."""
    real.wake()
    real.observed("failed")
    assert "No contract of this project is approved yet" in real.runtime().trouble
    real.approve()
    real.wake()
    real.observed("failed")
    assert {one["at"] for one in real.wakes()[-1].blockers} == {"inputs"}
    with tenancy.enter(real.org_id):
        assert not MeterWindow.objects.exists()


def test_w10_both_services_answer_at_their_ingress(real: Real) -> None:
    """W10, S3, S4: awake with a receipt; each answers, one reaches the other, and what was read is known by version."""
    real.bind()
    real.wakes_up()
    assert real.get("web", "/health").status_code == 200
    assert real.get("backend", "/health").status_code == 200
    assert "Rooms" in real.get("web", "/").text
    assert real.get("web", "/api/rooms").status_code == real.get("backend", "/api/rooms").status_code
    wake = real.wakes()[-1]
    assert [(one["name"], one["health"]) for one in wake.services] == [
        ("backend", "healthy"),
        ("web", "healthy"),
    ]
    assert wake.ready_ms
    with tenancy.enter(real.org_id):
        read = [
            (one.secret.name, one.service, one.running)
            for one in Consumption.objects.select_related("secret")
        ]
    assert read == [("CALENDAR_SIGNING_KEY", "backend", True)]


def test_w5_an_uncommitted_edit_is_what_runs_after_sleep(real: Real) -> None:
    """W5: edited in the shell's tree, asleep, awake: the edit is served, and git knows it as uncommitted."""
    real.edit(
        "scheduler-web", "scheduler_web/pages/day.html", "<title>Rooms</title>", "<title>Edited</title>"
    )
    real.asleep()
    with pytest.raises(ValueError, match="unpack"):
        real.get("web", "/")
    real.wakes_up()
    assert "<title>Edited</title>" in real.get("web", "/").text

    def is_dirty() -> bool:
        real.drive()
        return real.checkouts()["scheduler-web"].dirty

    # Read for pages some seconds after the wake.
    real.until(is_dirty, real.told())
    with tenancy.enter(real.org_id):
        windows = list(MeterWindow.objects.order_by("opened_at"))
    assert [one.closed_at is None for one in windows] == [False, True]


def test_w11_a_vm_that_vanishes_is_replaced_and_nothing_is_lost(real: Real) -> None:
    """W11: EC2 takes the VM away while it is awake; another one takes its place, with the same edit."""
    lost = real.vm().instance_id
    epoch = real.runtime().epoch
    real.vms.client.act("reclaim", lost)
    host = real.vm()

    def noticed() -> bool:
        reconcile.reconcile(real.org_id, host.id, look=True)
        return real.runtime().epoch > epoch

    real.until(noticed, real.told())
    real.observed("awake", within_s=120)
    assert real.vm().instance_id != lost
    assert "<title>Edited</title>" in real.get("web", "/").text
    assert [one.cause for one in real.wakes()[-2:]] == ["cli", "recovery"]


def test_w11_the_daemon_dies_while_services_start(real: Real) -> None:
    """W11: its init starts it again, the command is leased again, and the wake comes to its end."""
    real.asleep()
    real.wake()
    real.observed("starting")
    real.vms.kill_daemon(real.vm().instance_id)
    real.observed("awake", within_s=120)
    assert real.get("backend", "/health").status_code == 200


def test_a_port_that_is_taken_is_told(real: Real) -> None:
    """Somebody's own program listens where a service is to: it is named, and nothing else answers in its place."""
    real.asleep()
    host = real.vm()
    found = files.files_of(org_id=real.org_id, workspace_id=real.opened.id)
    assert found is not None
    squatter = RunCommand(
        workspace=on_vm(real.opened, found),
        service="backend",
        account=1,
        command=("python3", "-m", "http.server", "4000", "--bind", "127.0.0.1"),
        limits=Limits(memory_mib=256, cpu_millis=500),
        timeout_s=60,
    )
    command = real.want(host, squatter, "squatter")
    real.until(lambda: real.command(command).lease is not None, real.told())
    time.sleep(1.5)
    real.wake()
    real.observed("failed")
    assert real.runtime().trouble_word == "port"
    assert "Port 4000 is in use by another program" in real.runtime().trouble
    real.until(lambda: real.command(command).finished_at is not None, real.told(), within_s=90)


def test_w2_a_setup_step_that_fails_is_told(real: Real) -> None:
    """W2, W10: the branch's own contract counts once it is approved; its step's end stands in the receipt."""
    real.edit(
        "scheduler-backend", "envforge.yml", "setup:\n", "setup:\n  - name: break\n    command: exit 7\n"
    )
    real.wakes_up()
    real.asleep()
    real.approve()
    real.wake()
    real.observed("failed")
    [blocker] = [one for one in real.wakes()[-1].blockers if one["service"] == "backend"]
    assert (blocker["at"], blocker["exit_status"]) == ("setup", 7)


def test_a_secret_that_is_gone_from_the_store_fails_the_wake(real: Real) -> None:
    """S3: deleted in the store behind EnvForge's back before the wake; told by name and without a value."""
    with tenancy.enter(real.org_id):
        secret = Secret.objects.get(name="CALENDAR_SIGNING_KEY")
    store_root("ssm").delete_parameter(Name=secret.path)
    real.wake()
    real.observed("failed")
    assert real.runtime().trouble_word == "secrets"
    assert "CALENDAR_SIGNING_KEY" in real.runtime().trouble


def test_w12_deleted_its_files_are_gone(real: Real) -> None:
    """W12: what was edited and never committed too; VMs keep nothing of it, and a receipt says so."""
    assert real.tree("scheduler-web").exists()
    delete_workspace(actor=real.alice, org_id=real.org_id, workspace_id=real.opened.id)
    real.until(lambda: real.row().removed_at is not None, real.told(), within_s=90)
    assert not real.tree("scheduler-web").exists()
    parent = real.tree("scheduler-web").parent
    assert not parent.exists() or not list(parent.iterdir())
