"""Waking and sleeping: from wanted to observed, with one receipt, one meter window and routes of one epoch (W5, W6, W10, G2)."""

import json
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings
from django.db import OperationalError

from envforge import tenancy
from envforge_protocol.host.commands import Failure
from envforge_protocol.host.runtimes import Blocker
from tests.product.workspaces.desk import BACKEND, Desk
from workspaces import routes
from workspaces.models import WakeCause
from workspaces.reconcile import runtimes
from workspaces.routes import RouteChange


@pytest.fixture
def led() -> Iterator[list[RouteChange]]:
    """What devlinks is told of routes."""
    told: list[RouteChange] = []
    routes.on_route_change(told.append)
    yield told
    routes._listeners.remove(told.append)


def lets_go(desk: Desk) -> bool:
    """Whether nobody is led to its VM any more."""
    with tenancy.enter(desk.org_id):
        return routes.let_go(desk.vm())


def test_w5_the_shell_is_there_without_a_wake(desk: Desk) -> None:
    """W5: opening a workspace prepares its shell, and its trees are known; the runtime sleeps on."""
    desk.shell_up()
    shell = desk.shell()
    assert (shell.observed, shell.ssh_port, shell.trouble) == ("ready", 2222, "")
    assert desk.runtime().observed == "asleep"
    assert {host.role for host in desk.fleet.hosts()} == {"shell"}
    assert len(desk.events("shell.ready")) == 1


def test_pages_learn_how_the_trees_lie_after_a_wake(desk: Desk) -> None:
    """The shell's VM is asked once for each wake, when nobody waits for it; branch and commit stand on pages."""
    desk.awake()
    assert desk.commands("read_contract") == []
    desk.pass_(seconds=6)
    [asked] = desk.commands("read_contract")
    assert asked.key.endswith(f"/{desk.runtime().epoch}")
    tree = next(one for one in desk.trees() if one.directory == "web")
    desk.read_contracts(web=tree.model_copy(update={"branch": "other", "commit": "d" * 40}))
    assert desk.checkout("web").branch == "other"
    desk.pass_(seconds=60)
    assert desk.commands("read_contract") == []
    assert (desk.runtime().observed, desk.runtime().due_at) == ("awake", None)


def test_whoever_asks_takes_the_first_steps(desk: Desk) -> None:
    """On a VM that runs no worker is waited for; what the nudge leads to afterwards changes nothing."""
    desk.awake()
    desk.sleep()
    desk.drive()
    desk.stop()
    desk.wake()
    [asked] = desk.commands("start_runtime")
    desk.drive()
    assert [one.id for one in desk.commands("start_runtime")] == [asked.id]


def test_where_the_first_steps_fail_a_worker_takes_them(
    desk: Desk, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where they do not, none is told: it would look for the same while the VM starts."""
    desk.awake()
    desk.sleep()
    desk.drive()
    desk.stop()
    broker = redis.Redis.from_url(settings.CELERY_BROKER_URL)

    def told() -> list[str]:
        names = [json.loads(message)["headers"]["task"] for message in broker.lrange(queue, 0, -1)]
        broker.delete(queue)
        return names

    told()
    desk.wake()
    assert len(desk.commands("start_runtime")) == 1
    assert "workspaces.runtime.reconcile" not in told()
    desk.start()
    desk.sleep()
    desk.drive()
    desk.stop()
    told()

    def broken(*_: object) -> int:
        raise OperationalError("the database went away")

    with monkeypatch.context() as patch:
        patch.setattr(runtimes, "reconcile", broken)
        desk.wake()
    assert desk.commands("start_runtime") == []
    assert told().count("workspaces.runtime.reconcile") == 1
    desk.drive()
    assert len(desk.commands("start_runtime")) == 1


def test_w10_a_wake_ends_with_receipt_meter_and_routes(desk: Desk, led: list[RouteChange]) -> None:
    """W10, B1, G2: awake, the receipt, the meter and the routes come in one transaction."""
    desk.awake()
    runtime, [wake], [window] = desk.runtime(), desk.wakes(), desk.windows()
    assert (runtime.observed, runtime.epoch, runtime.routed) == ("awake", 1, True)
    assert (wake.cause, wake.ready_at is not None, wake.blockers) == ("console", True, [])
    assert [(one["name"], one["repository"], one["health"]) for one in wake.services] == [
        ("backend", "backend", "healthy"),
        ("web", "web", "healthy"),
    ]
    assert (window.epoch, window.closed_at, window.size) == (1, None, "small")
    with tenancy.enter(desk.org_id):
        found = routes.routes_of(desk.workspace.id)
    assert [(one.service, one.epoch, one.address) for one in found] == [
        ("backend", 1, desk.vm().address),
        ("web", 1, desk.vm().address),
    ]
    assert len({one.ingress for one in found}) == 2
    assert led == [RouteChange(desk.workspace.id, 1, present=True)]
    assert len(desk.events("runtime.started")) == 1


def test_w1_the_manifest_says_what_contracts_and_bindings_say(desk: Desk) -> None:
    """W1: another service's route is its port in the shared namespace; nothing of a credential stands in the queue (K2)."""
    desk.shell_up()
    desk.starting()
    backend, web = desk.manifest().manifest.services
    assert web.environment == {"BACKEND_URL": "http://127.0.0.1:4000", "PORT": "3000"}
    assert (web.command, backend.command) == (("/bin/sh", "-c", "run web"), ("run", "it"))
    assert (web.health.path if web.health else "", backend.health) == ("/health", None)
    assert (backend.account, web.account) == (1, 2)
    assert desk.manifest().manifest.credentials == ()


def test_w6_asking_again_is_one_wake(desk: Desk) -> None:
    """W6: whoever asks while it wakes, or is awake, begins no second one."""
    desk.wake()
    desk.wake(WakeCause.DEV_LINK, detail="Design review")
    desk.awake()
    desk.wake(WakeCause.TEST)
    assert (len(desk.wakes()), len(desk.windows())) == (1, 1)
    assert len(desk.events("runtime.wake_requested")) == 1


def test_g2_routes_go_before_services_stop(desk: Desk, led: list[RouteChange]) -> None:
    """G2: routes are withdrawn with the ask; no VM is asked to stop before every gateway has let go."""
    holds = [True]
    routes.before_routes_go("test", lambda workspace, epoch: not holds[0])
    try:
        desk.awake()
        desk.sleep()
        with tenancy.enter(desk.org_id):
            assert routes.routes_of(desk.workspace.id) == []
        assert led[-1] == RouteChange(desk.workspace.id, 1, present=False)
        desk.pass_(seconds=2)
        desk.pass_(seconds=2)
        assert desk.commands("stop_runtime") == []
        assert desk.windows()[0].closed_at is None
        assert not lets_go(desk)
        holds[0] = False
        desk.pass_(seconds=2)
        desk.stop()
    finally:
        del routes._holders["test"]
    [wake], [window] = desk.wakes(), desk.windows()
    assert (desk.runtime().observed, wake.end_cause) == ("asleep", "asked")
    assert window.closed_at is not None
    assert window.seconds is not None
    assert lets_go(desk)
    assert [one.facts["cause"] for one in desk.events("runtime.slept")] == ["asked"]


def test_wake_while_it_falls_asleep_is_a_wake_of_its_own(desk: Desk) -> None:
    """The services of the first wake stop, then those of the second start; each has its window."""
    desk.awake()
    desk.sleep()
    desk.drive()
    desk.wake(WakeCause.API)
    desk.stop()
    desk.pass_(seconds=25)
    desk.start()
    first, second = desk.wakes()
    assert (first.end_cause, second.cause, second.ended_at) == ("asked", "api", None)
    assert [one.epoch for one in desk.windows()] == [1, 2]
    assert (desk.runtime().observed, desk.runtime().epoch) == ("awake", 2)


def test_wake_right_after_sleep_before_any_step(desk: Desk) -> None:
    """Nobody took a step between the two asks, and it wakes all the same."""
    desk.awake()
    desk.sleep()
    desk.wake()
    desk.drive()
    desk.stop()
    desk.pass_(seconds=25)
    desk.start()
    assert (desk.runtime().observed, desk.runtime().epoch) == ("awake", 2)


def test_sleep_while_it_wakes(desk: Desk) -> None:
    """Before its VM was asked for anything it simply sleeps again."""
    desk.shell_up()
    desk.wake()
    desk.drive()
    assert desk.runtime().observed == "waking"
    desk.sleep()
    desk.drive()
    assert desk.runtime().observed == "asleep"
    assert desk.windows() == []
    assert desk.wakes()[0].ended_at is not None


def test_sleep_while_it_starts_takes_the_start_back(desk: Desk) -> None:
    """The stop does not wait for the end of a start that nobody wants any more."""
    desk.shell_up()
    desk.starting()
    desk.sleep()
    desk.drive()
    [start] = desk.commands("start_runtime", open_only=False)
    assert (start.failure or {})["word"] == "withdrawn"
    desk.stop()
    assert desk.runtime().observed == "asleep"
    assert desk.windows() == []


def test_a_start_that_fails_is_told_in_words_and_asked_for_anew(desk: Desk) -> None:
    """FAILED with the first blocker's words; nothing of it is metered, what was started is stopped, the next ask wakes again."""
    desk.shell_up()
    desk.starting()
    desk.start(Blocker(service="web", at="setup", reason="The step compile failed.", exit_status=2))
    runtime = desk.runtime()
    assert (runtime.observed, runtime.wanted, runtime.trouble_word) == ("failed", "asleep", "setup")
    assert runtime.trouble == "web: The step compile failed."
    assert desk.windows() == []
    assert desk.events("runtime.wake_failed")[0].facts["reason"] == "setup"
    assert len(desk.commands("stop_runtime")) == 1
    # What was started may run until it is stopped: its port leads to nobody else until then.
    assert desk.services()["web"].ingress is not None
    assert lets_go(desk)
    desk.stop()
    assert desk.services()["web"].ingress is None
    desk.starting()
    desk.start()
    assert (desk.runtime().observed, desk.runtime().epoch, desk.runtime().trouble) == ("awake", 2, "")


def test_a_start_that_no_vm_ends_fails(desk: Desk) -> None:
    """What expired, or was begun again and again, is told as what it is."""
    desk.shell_up()
    desk.starting()
    desk.finish(
        "start_runtime",
        failure=Failure(word="lease_lost", sentence="The VM began this 5 times and never said how it ended."),
    )
    assert (desk.runtime().observed, desk.runtime().trouble_word) == ("failed", "lease_lost")


def test_w1_a_job_that_is_done_is_no_failure(desk: Desk) -> None:
    """W1: of a job, having ended well is as good as running; of an app it is not."""
    job = BACKEND.replace("name: backend", "name: backend, kind: job")
    text = job.replace("ports: {api: 4000}\n", "")
    desk.repositories["worker"] = desk.add_repository("worker")
    text = text.replace("name: backend", "name: migrate")
    desk.texts["worker"] = text
    desk.approve("worker", text)
    desk.shell_up()
    desk.starting()
    assert [(one.name, one.once) for one in desk.manifest().manifest.services] == [
        ("backend", False),
        ("web", False),
        ("migrate", True),
    ]
    desk.start(ended=frozenset({"migrate"}))
    assert desk.runtime().observed == "awake", desk.runtime().trouble
    assert desk.services()["migrate"].health == "stopped"
    desk.sleep()
    desk.drive()
    desk.stop()
    desk.starting()
    desk.start(ended=frozenset({"web"}))
    assert desk.runtime().trouble.startswith("web: It did not come up.")


def test_w10_a_shell_that_cannot_be_prepared_fails_the_wake_in_words(desk: Desk) -> None:
    """W10: the third failure in a row ends the wake soon, with the reason on the page and in the receipt; another try is a try."""
    refused = Failure(word="checkout", sentence="The repository web cannot be reached.")
    desk.drive()
    desk.bring_vms_up()
    desk.wake()
    desk.drive()
    began = desk.wakes()[0].asked_at
    for turn in range(3):
        assert desk.runtime().observed == "waking", turn
        desk.finish("prepare_shell", failure=refused)
        if turn < 2:
            desk.pass_(seconds=45)
    runtime = desk.runtime()
    words = "Its shell cannot be prepared. The repository web cannot be reached."
    assert (runtime.observed, runtime.trouble_word, runtime.trouble) == ("failed", "shell", words)
    [wake] = desk.wakes()
    assert [one["reason"] for one in wake.blockers] == [words]
    assert wake.ended_at is not None
    assert (wake.ended_at - began).total_seconds() < 180
    # Asked for anew it is tried at once, whatever the backoff says; and fails with that try.
    desk.wake()
    desk.drive()
    assert desk.runtime().observed == "waking"
    desk.drive()
    desk.finish("prepare_shell", failure=refused)
    assert desk.runtime().observed == "failed"


def test_g2_services_are_stopped_once_gateways_said_so(desk: Desk) -> None:
    """G2: the last gateway's word is enough, no sweep is waited for; one whose VM was asked already is left to that."""
    gone = [False]
    routes._holders["slow"] = lambda workspace_id, epoch: gone[0]
    try:
        desk.awake()
        desk.sleep()
        runtimes.reconcile(desk.org_id, desk.runtime().id)
        assert runtimes.stop_at_once(desk.org_id, desk.row().id) == 0
        assert desk.commands("stop_runtime") == []
        gone[0] = True
        runtimes.stop_at_once(desk.org_id, desk.row().id)
        assert len(desk.commands("stop_runtime")) == 1
        runtimes.stop_at_once(desk.org_id, desk.row().id)
        assert desk.runtime().observed == "stopping"
    finally:
        del routes._holders["slow"]
