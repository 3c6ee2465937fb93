"""What dies on the way: VMs lost while waking or awake, silent ones, lost nudges, a thousand asks at once (W6, W11, H6)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from django.db import connection

from envforge import tenancy
from envforge_protocol.host import workspaces as wire
from hosts import reconcile
from hosts.models import Host
from hosts.models import Observed as HostObserved
from tests.product.workspaces.desk import BACKEND, Desk
from workspaces import meter
from workspaces.models import HostNews, SleepCause, WakeCause
from workspaces.reconcile import sweeps


def terminate(desk: Desk, host: Host) -> None:
    """The VM is ended outside of EnvForge, and somebody looks."""
    desk.fleet.ec2.terminate_instances(InstanceIds=[host.instance_id])
    reconcile.reconcile(desk.org_id, host.id, look=True)
    desk.fleet.step(host, 3)


def test_w11_h6_a_vm_that_vanishes_while_awake(desk: Desk) -> None:
    """W11, H6: the meter ends at the last heartbeat, and the runtime wakes on another VM, in a wake of its own, undisputed."""
    desk.awake()
    desk.clock.pass_(minutes=3)
    desk.fleet.hear(desk.vm())
    heard_at = desk.fleet.fresh(desk.vm()).heard_at
    desk.clock.pass_(minutes=2)
    lost = desk.vm()
    terminate(desk, lost)
    desk.drive()
    assert heard_at is not None
    [window] = desk.windows()
    assert window.closed_at == heard_at.replace(microsecond=0)
    assert (window.disputed_s, window.end_cause) == (0, "host_lost")
    assert (desk.runtime().wanted, desk.runtime().observed, desk.runtime().routed) == (
        "awake",
        "waking",
        False,
    )
    desk.bring_vms_up()
    desk.pass_(seconds=31)
    desk.start()
    first, second = desk.wakes()
    assert (first.end_cause, second.cause, second.asked_by) == ("host_lost", "recovery", "EnvForge")
    assert (desk.runtime().observed, desk.runtime().epoch, len(desk.windows())) == ("awake", 2, 2)
    assert len(desk.fleet.instances(desk.vm())) == 1


def test_h6_a_silent_vm_is_metered_and_disputed(desk: Desk) -> None:
    """H6: EC2 says it runs and nobody hears of it: it is stopped, and the time unheard of is marked disputed."""
    desk.awake()
    desk.fleet.hear(desk.vm())
    silent = desk.vm()
    desk.clock.pass_(minutes=6)
    # Whoever is awake elsewhere is heard of.
    with tenancy.enter(desk.org_id):
        Host.objects.exclude(id=silent.id).update(heard_at=desk.clock.now())
    reconcile.reconcile(desk.org_id, silent.id, look=True)
    desk.drive()
    [window] = desk.windows()
    assert window.end_cause == "silent"
    assert 350 <= window.disputed_s <= 370
    assert window.seconds is not None
    assert window.seconds >= window.disputed_s
    assert desk.runtime().wanted == "awake"
    assert not desk.runtime().routed


def test_w11_a_vm_lost_while_it_starts_is_the_same_wake_elsewhere(desk: Desk) -> None:
    """W11: nothing was metered yet, and one wake it stays."""
    desk.shell_up()
    desk.starting()
    terminate(desk, desk.vm())
    desk.drive()
    assert desk.runtime().observed == "waking"
    desk.bring_vms_up()
    desk.pass_(seconds=31)
    desk.start()
    assert (desk.runtime().observed, len(desk.wakes()), len(desk.windows())) == ("awake", 1, 1)


def test_w11_a_vm_lost_while_it_stops(desk: Desk) -> None:
    """It sleeps: there is nothing left to stop."""
    desk.awake()
    desk.sleep()
    desk.drive()
    terminate(desk, desk.vm())
    desk.drive()
    assert desk.runtime().observed == "asleep"
    assert desk.windows()[0].closed_at is not None


def test_w8_a_lost_vm_is_not_replaced_beyond_the_cap(desk: Desk, monkeypatch: Any) -> None:
    """W8: recovery asks the cap as every wake does."""
    desk.awake()

    def over(_runtime: object) -> None:
        raise meter.CapReached("All hours of this month are used.")

    monkeypatch.setattr(meter, "require_below_cap", over)
    terminate(desk, desk.vm())
    desk.drive()
    assert (desk.runtime().wanted, desk.runtime().observed) == ("asleep", "asleep")
    assert desk.events("runtime.slept")[0].facts["cause"] == SleepCause.CAP


def test_the_shell_is_prepared_again_on_another_vm(desk: Desk) -> None:
    """W5: the shell's VM is replaced, and the shell is there again."""
    desk.shell_up()
    first = desk.shell()
    assert first.host_id is not None
    with tenancy.enter(desk.org_id):
        host = Host.objects.get(id=first.host_id)
    terminate(desk, host)
    desk.drive()
    assert desk.shell().observed == "absent"
    desk.bring_vms_up()
    desk.prepare_shell()
    second = desk.shell()
    assert second.observed == "ready"
    assert (second.generation, second.turn) == (first.generation + 1, first.turn + 1)


def test_w11_lost_nudges_are_found_by_the_sweep(desk: Desk) -> None:
    """W11: nobody was nudged; whatever is due is found, news of VMs too."""
    desk.awake()
    terminate(desk, desk.vm())
    with tenancy.enter(desk.org_id):
        assert HostNews.objects.exists()
    sweeps.sweep()
    with tenancy.enter(desk.org_id):
        assert not HostNews.objects.exists()
    assert desk.runtime().observed == "waking"


def test_w6_a_thousand_asks_at_once_are_one_wake(desk: Desk) -> None:
    """W6: from eight threads at once; one wake, one request in the timeline, one window."""
    desk.shell_up()

    def ask(number: int) -> None:
        desk.wake(WakeCause.DEV_LINK, detail=f"request {number}")
        if number % 125 == 124:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(1000)))
        list(pool.map(lambda _: connection.close(), range(32)))
    desk.drive()
    desk.bring_vms_up()
    desk.pass_(seconds=31)
    desk.start()
    assert (len(desk.wakes()), len(desk.windows()), desk.runtime().epoch) == (1, 1, 1)
    assert len(desk.events("runtime.wake_requested")) == 1


def test_w1_an_unbound_input_fails_the_wake_by_name(desk: Desk) -> None:
    """W1: every required input that nothing is bound to is named, before any VM is asked."""
    text = (
        BACKEND
        + "inputs: {STRIPE_KEY: {kind: secret, description: charges cards}, LEVEL: literal}\n"
        + 'env: {STRIPE_KEY: "${inputs.STRIPE_KEY}", LEVEL: "${inputs.LEVEL}"}\n'
    )
    desk.texts["backend"] = text
    desk.shell_up()
    desk.approve("backend", text)
    desk.starting()
    runtime = desk.runtime()
    assert (runtime.observed, runtime.trouble_word) == ("failed", "inputs")
    said = [one["reason"] for one in desk.wakes()[0].blockers]
    assert said == [
        "It lacks the secret STRIPE_KEY (charges cards). Bind it in the project, then wake again.",
        "It lacks the text LEVEL. Bind it in the project, then wake again.",
    ]
    assert desk.commands("start_runtime", open_only=False) == []


def test_one_port_for_two_services_fails_the_wake(desk: Desk) -> None:
    """Services of a workspace share its network: both are named."""
    text = BACKEND.replace("4000", "3000")
    desk.approve("backend", text)
    desk.texts["backend"] = text
    desk.shell_up()
    desk.starting()
    assert [(one["service"], one["at"]) for one in desk.wakes()[0].blockers] == [
        ("backend", "port"),
        ("web", "port"),
    ]


def test_a_repository_that_is_gone_fails_the_wake(desk: Desk) -> None:
    """It is tried once more at the wake, and then said in the words of whoever tried."""
    gone = wire.Checkout(directory="web", problem="git.test has no such repository.")
    desk.drive()
    desk.bring_vms_up()
    desk.prepare_shell(web=gone)
    desk.wake()
    desk.drive()
    desk.drive()
    desk.prepare_shell(web=gone)
    desk.bring_vms_up()
    desk.pass_(seconds=31)
    [blocker] = desk.wakes()[0].blockers
    assert (blocker["service"], blocker["at"], blocker["reason"]) == (
        "web",
        "repository",
        "git.test has no such repository.",
    )
    assert desk.runtime().trouble == "web: git.test has no such repository."


def test_w2_a_branch_wakes_with_its_own_contract_once_that_is_approved(desk: Desk) -> None:
    """W2: the tree's contract is a proposal, and wakes use what was approved last; approved, this branch uses it."""
    changed = BACKEND.replace("[run, it]", "[run, that]")
    desk.texts["backend"] = changed
    desk.shell_up()
    desk.starting()
    assert desk.manifest().manifest.services[0].command == ("run", "it")
    proposed = desk.proposals("backend")[-1]
    assert (proposed.decision, proposed.branch) == ("proposed", "feature/rooms")
    desk.start()
    desk.sleep()
    desk.drive()
    desk.stop()
    desk.approve("backend", changed)
    # Another branch's is approved later, and is not this one's.
    desk.approve("backend", BACKEND.replace("[run, it]", "[run, other]"))
    desk.starting()
    assert desk.manifest().manifest.services[0].command == ("run", "that")


def test_a_wake_that_gets_no_vm_ends_in_words(desk: Desk) -> None:
    """Nothing waits for ever: after half an hour the wake has failed, and says what it waited for."""
    desk.shell_up()
    desk.wake()
    desk.drive()
    desk.clock.ahead += timedelta(minutes=31)
    with tenancy.enter(desk.org_id):
        Host.objects.filter(role="shell").update(heard_at=desk.clock.now())
        assert Host.objects.filter(role="runtime", observed=HostObserved.RUNNING).count() == 0
    desk.drive()
    assert (desk.runtime().observed, desk.runtime().trouble_word) == ("failed", "not_ready")
