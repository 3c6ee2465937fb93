"""Usage, caps and leases over the API: the same figures as the page's, and the same doors (B2, B3, W7, W8)."""

from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from orgs import operations
from orgs.policy import Action
from orgs.roles import Role
from tests.product.meters import Metered, Times, utc
from tests.product.test_usage_page import PRICES, month_of_use
from tests.product.things import issue
from tests.product.visitors import anonymous, signed_in
from tests.product.world import World


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    times = Times(utc(2026, 11, 10, 9))
    monkeypatch.setattr(timezone, "now", times.now)
    monkeypatch.setattr(django_settings, "PRICES", PRICES)
    return times


@pytest.fixture
def metered(world: World, times: Times) -> Metered:
    return Metered(world, times)


def api(world: World, rest: str) -> str:
    return f"/api/v1/orgs/{world.acme.slug}/{rest}"


def program(world: World, *scopes: Action) -> dict[str, str]:
    alice = world.alice
    account = operations.create_service_account(
        actor=alice.as_actor(), org_id=world.acme.id, creator=alice, name=f"ci {uuid4()}", role=Role.ADMIN
    )
    return {"HTTP_AUTHORIZATION": f"Bearer {issue(world, account.id, *scopes)[1]}"}


def told(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.content
    return answer.json()


def test_b2_the_month_in_figures(world: World, metered: Metered) -> None:
    month_of_use(metered)
    said = told(signed_in(world.alice).get(api(world, "usage?month=2026-11")))
    assert (said["month"], said["awake_s"], said["disputed_s"], said["charged_s"]) == (
        "2026-11",
        12600,
        1800,
        10800,
    )
    assert (said["wakes"], said["currency"], said["cost"]) == (2, "EUR", "0.38")
    assert [price["since"] for price in said["prices"]] == ["2026-01-01", "2026-11-16"]
    assert said["prices"][1]["hour"] == {"small": "0.10", "medium": "0.20", "large": "0.40"}
    days = {day["day"]: day for day in said["days"]}
    assert len(days) == 16
    assert days["2026-11-16"]["sizes"]["medium"] == {"awake_s": 5400, "disputed_s": 1800, "charged_s": 3600}
    assert days["2026-11-14"]["awake_s"] == 0
    assert [(one["name"], one["awake_s"], one["cost"]) for one in said["workspaces"]] == [
        ("checkout", 7200, "0.18"),
        ("search", 5400, "0.20"),
    ]
    assert sum(day["awake_s"] for day in said["days"]) == said["awake_s"]


def test_b2_receipts_in_pages(world: World, metered: Metered) -> None:
    month_of_use(metered)
    alice = signed_in(world.alice)
    first = told(alice.get(api(world, "usage/windows?month=2026-11&limit=1")))
    [window] = first["windows"]
    assert (window["workspace_name"], window["size"], window["cause"], window["end_cause"]) == (
        *("search", "medium", "test"),
        "silent",
    )
    assert (window["awake_s"], window["disputed_s"], window["cost"], window["cap"]) == (
        5400,
        1800,
        "0.20",
        "none",
    )
    assert (window["opened_at"], window["closed_at"]) == ("2026-11-16T09:00:00Z", "2026-11-16T10:30:00Z")
    second = told(alice.get(api(world, f"usage/windows?month=2026-11&limit=1&cursor={first['next']}")))
    assert [one["workspace_name"] for one in second["windows"]] == ["checkout"]
    assert second["next"] is None


def test_b3_money_takes_the_role_and_the_scope(world: World, metered: Metered) -> None:
    month_of_use(metered)
    for said in (
        told(signed_in(world.vera).get(api(world, "usage"))),
        told(anonymous().get(api(world, "usage"), **program(world, Action.USAGE_VIEW))),  # type: ignore[arg-type]
    ):
        assert (said["awake_s"], said["currency"], said["cost"], said["prices"]) == (12600, None, None, None)
        assert {one["cost"] for one in [*said["days"], *said["workspaces"]]} == {None}
    seen = anonymous().get(
        api(world, "usage"),
        **program(world, Action.USAGE_VIEW, Action.BILLING_VIEW),  # type: ignore[arg-type]
    )
    assert told(seen)["cost"] == "0.38"
    refused = anonymous().get(api(world, "usage"), **program(world, Action.SECURITY_VIEW))  # type: ignore[arg-type]
    assert told(refused, 403)["rule"] == "token-scope"


@pytest.mark.parametrize(
    "query",
    [
        "usage?month=11",
        "usage?workspace=x",
        "usage/windows?limit=0",
        "usage/windows?limit=0000019999",
        "workspaces?limit=0000019999",
        "usage/windows?cursor=x",
        "usage?since=2026",
    ],
)
def test_what_cannot_be_read_is_refused(world: World, times: Times, query: str) -> None:
    assert told(signed_in(world.alice).get(api(world, query)), 422)["fields"]


def test_w8_caps(world: World, metered: Metered) -> None:
    month_of_use(metered)
    headers = program(world, Action.USAGE_VIEW, Action.CAP_SET)

    def post(**cap: Any) -> Any:
        return anonymous().post(api(world, "caps"), cap, content_type="application/json", **headers)  # type: ignore[arg-type]

    workspace = metered.workspace("checkout")
    told(post(mode="warn", hours=4))
    said = told(post(mode="stop", hours=2, workspace=str(workspace.id)))
    assert [(cap["workspace"], cap["mode"], cap["hours"], cap["used_s"]) for cap in said["caps"]] == [
        (None, "warn", 4, 10800),
        (str(workspace.id), "stop", 2, 7200),
    ]
    assert [cap["reached"] for cap in said["caps"]] == [False, True]
    assert "hours" in told(post(mode="stop"), 422)["fields"]
    # And the workspace does not wake any more, in words.
    wakes = program(world, Action.RUNTIME_WAKE, Action.WORKSPACE_VIEW)
    refused = anonymous().post(api(world, f"workspaces/{workspace.id}/wake"), **wakes)  # type: ignore[arg-type]
    assert "2 awake hours in a calendar month (UTC)" in told(refused, 409)["detail"]


def test_w7_leases(world: World, metered: Metered, times: Times) -> None:
    workspace = metered.workspace()
    headers = program(world, Action.RUNTIME_WAKE, Action.RUNTIME_SLEEP, Action.WORKSPACE_VIEW)
    at = api(world, f"workspaces/{workspace.id}/leases")

    def post(**lease: Any) -> Any:
        return anonymous().post(at, lease, content_type="application/json", **headers)  # type: ignore[arg-type]

    held = told(post(name="nightly", for_s=3600))
    assert (held["until"], held["sleeps_at"]) == ("2026-11-10T10:00:00Z", "2026-11-10T10:30:00Z")
    assert [one["id"] for one in told(anonymous().get(at, **headers))["leases"]] == [held["id"]]  # type: ignore[arg-type]
    assert told(post(name="", for_s=3600), 422)["fields"].keys() == {"name"}
    assert told(post(name="x", for_s=10), 422)["fields"].keys() == {"for_s"}
    # Another organization's workspace, and a lease of another workspace, are not there.
    other = metered.workspace("other")
    elsewhere = api(world, f"workspaces/{other.id}/leases/{held['id']}")
    assert anonymous().delete(elsewhere, **headers).status_code == 404  # type: ignore[arg-type]
    assert signed_in(world.mallory).get(at).status_code == 404
    assert told(anonymous().delete(f"{at}/{held['id']}", **headers)) == {"released": True}  # type: ignore[arg-type]
    assert told(anonymous().get(at, **headers))["leases"] == []  # type: ignore[arg-type]
