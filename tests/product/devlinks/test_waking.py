"""What requests wake, what their links may spend, and what keeps a runtime awake (L6, L9, W7, G5)."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.utils import timezone

from devlinks.models import DevSession, LinkWake
from devlinks.operations.policy import set_link_policy
from envforge import tenancy
from tests.product.devlinks.yard import Gateway as Program
from tests.product.devlinks.yard import Visit, Yard
from tests.product.hosts.conftest import Clock
from workspaces import meter
from workspaces.models import Cap, CapMode, MeterWindow, Observed, Power, Runtime, Wake
from workspaces.wants import end_wake


def test_l6_a_verified_request_wakes_once_and_spends_one_wake(yard: Yard, gateway: Program) -> None:
    issued = yard.issue(name="Design review")
    visits = [gateway.enter(issued) for _ in range(2)]
    assert visits[0].resolve()["decision"]["runtime"]["state"] == "asleep"
    for visit in visits * 3:
        answer = visit.wake()
        assert answer["state"] == "waking"
        assert all("VM" not in step["words"] for step in answer["steps"])
    with tenancy.enter(yard.org):
        [wake] = Wake.objects.all()
        assert (wake.cause, wake.detail, wake.asked_by) == ("dev_link", "Design review", "EnvForge")
    assert yard.link(issued.link).wakes_spent == 1
    assert visits[0].resolve()["decision"]["runtime"]["state"] == "waking"


def _slept(yard: Yard) -> None:
    """Asleep again, some time later."""
    with tenancy.enter(yard.org):
        runtime = yard.runtime()
        end_wake(runtime, at=timezone.now(), cause="idle")
        runtime.wanted, runtime.observed, runtime.routed, runtime.sleep_at = (
            Power.ASLEEP,
            Observed.ASLEEP,
            False,
            None,
        )
        runtime.save()


def test_g5_a_leaked_link_spends_its_wakes_and_no_more(yard: Yard, gateway: Program) -> None:
    issued = yard.issue(wakes_budget=2)
    visit = gateway.enter(issued)
    for _ in range(2):
        assert visit.wake()["state"] == "waking"
        _slept(yard)
    answer = visit.wake()
    assert (answer["state"], answer["word"]) == ("refused", "wake_budget")
    with tenancy.enter(yard.org):
        assert Wake.objects.count() == 2
    assert "wake_budget" in [event.facts["reason"] for event in yard.events("dev_link.denied")]


def test_g5_awake_seconds_count_too(yard: Yard, gateway: Program, clock: Clock) -> None:
    issued = yard.issue(awake_budget_s=600)
    visit = gateway.enter(issued)
    visit.wake()
    with tenancy.enter(yard.org):
        runtime = yard.runtime()
        meter.open_window(runtime, Wake.objects.get(), timezone.now())
    clock.pass_(seconds=601)
    _slept(yard)
    gateway.register()
    assert visit.wake()["word"] == "wake_budget"


def test_g5_all_links_of_a_workspace_share_a_budget(yard: Yard, gateway: Program) -> None:
    set_link_policy(actor=yard.alice, org_id=yard.org, workspace_wakes=1)
    one, two = gateway.enter(yard.issue()), gateway.enter(yard.issue())
    assert one.wake()["state"] == "waking"
    _slept(yard)
    assert two.wake()["word"] == "wake_budget"
    with tenancy.enter(yard.org):
        assert LinkWake.objects.count() == 1


def test_l6_a_cap_at_stop_refuses_the_wake(yard: Yard, gateway: Program) -> None:
    visit = gateway.enter(yard.issue())
    with tenancy.enter(yard.org):
        now = timezone.now()
        Cap.objects.create(mode=CapMode.STOP, hours=1, changed_at=now, changed_by="Alice")
        runtime = Runtime.objects.get(workspace=yard.workspace)
        MeterWindow.objects.create(
            runtime=runtime,
            workspace=yard.workspace,
            epoch=500,
            size="small",
            cause="console",
            opened_at=now.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
            closed_at=now.replace(day=1, hour=2, minute=0, second=0, microsecond=0),
            seconds=7200,
        )
    answer = visit.wake()
    assert (answer["state"], answer["word"]) == ("refused", "cap")


def activity(visit: Visit, yard: Yard, **counts: Any) -> dict[str, Any]:
    now = timezone.now()
    session = yard.session(visit.session_id)
    told: dict[str, Any] = {
        "session_id": str(visit.session_id),
        "link_id": str(session.link_id),
        "workspace_id": str(yard.workspace.id),
        "organization_id": str(yard.org),
        "service": "web",
        **counts,
    }
    return {
        "id": str(uuid4()),
        "since": (now - timedelta(seconds=5)).isoformat(),
        "until": now.isoformat(),
        "sessions": [told],
    }


def test_w7_use_by_a_reviewer_puts_off_the_sleep_and_background_does_not_for_long(
    yard: Yard, gateway: Program, clock: Clock
) -> None:
    visit = gateway.enter(yard.issue())
    yard.awake()

    def sleeps() -> Any:
        with tenancy.enter(yard.org):
            return Runtime.objects.get(workspace=yard.workspace).sleep_at

    first = sleeps()
    clock.pass_(minutes=5)
    used = timezone.now()
    assert (
        gateway.raw(
            "POST", "activity", activity(visit, yard, navigations=1, active_at=used.isoformat())
        ).status_code
        == 204
    )
    assert sleeps() > first
    last = sleeps()
    # In total five minutes past what people did, however long a page polls.
    for _ in range(12):
        clock.pass_(minutes=2)
        gateway.register()
        gateway.raw(
            "POST", "activity", activity(visit, yard, background=9, background_at=timezone.now().isoformat())
        )
    assert last < sleeps() <= last + timedelta(minutes=5, seconds=1)


def test_activity_of_another_organizations_session_counts_for_nothing(
    yard: Yard, strangers: Yard, gateway: Program, clock: Clock
) -> None:
    visit = gateway.enter(yard.issue())
    strangers.awake()

    def sleeps() -> Any:
        with tenancy.enter(strangers.org):
            return Runtime.objects.get(workspace=strangers.workspace).sleep_at

    before = sleeps()
    clock.pass_(minutes=5)
    batch = activity(visit, yard, navigations=1, active_at=timezone.now().isoformat())
    batch["sessions"][0] |= {
        "organization_id": str(strangers.org),
        "workspace_id": str(strangers.workspace.id),
    }
    assert gateway.raw("POST", "activity", batch).status_code == 204
    assert sleeps() == before


def test_g5_a_link_that_has_spent_its_seconds_keeps_nothing_awake(
    yard: Yard, gateway: Program, clock: Clock
) -> None:
    issued = yard.issue(awake_budget_s=60)
    visit = gateway.enter(issued)
    visit.wake()
    yard.awake()
    with tenancy.enter(yard.org):
        meter.open_window(yard.runtime(), Wake.objects.get(), timezone.now())
        before = Runtime.objects.get(workspace=yard.workspace).sleep_at
    clock.pass_(minutes=5)
    gateway.raw(
        "POST", "activity", activity(visit, yard, navigations=1, active_at=timezone.now().isoformat())
    )
    with tenancy.enter(yard.org):
        assert Runtime.objects.get(workspace=yard.workspace).sleep_at == before
        assert DevSession.objects.get(id=visit.session_id).last_used_at is not None


def test_l9_refusals_of_the_gateway_itself_are_told_for_its_own_links_alone(
    yard: Yard, strangers: Yard, gateway: Program
) -> None:
    visit, other = gateway.enter(yard.issue()), gateway.enter(strangers.issue())
    batch = activity(visit, yard)
    denial = {
        "session_id": str(visit.session_id),
        "link_id": batch["sessions"][0]["link_id"],
        "workspace_id": str(yard.workspace.id),
        "organization_id": str(yard.org),
        "word": "surface",
        "count": 9,
        "last_at": timezone.now().isoformat(),
    }
    crossed = {**denial, "session_id": str(other.session_id)}
    assert gateway.raw("POST", "activity", {**batch, "denials": [crossed]}).status_code == 204
    assert not yard.events("dev_link.denied")
    assert gateway.raw("POST", "activity", {**batch, "denials": [denial, denial]}).status_code == 204
    assert [event.facts["reason"] for event in yard.events("dev_link.denied")] == ["surface"]
