"""VMs and placements through the HTTP doors: who sees what, in which words, at what cost (V2, V3, W4, W13)."""

import csv
import io
import json
import re
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from envforge import tenancy
from hosts.models import Host, HostRole, HostVoice, PlacementPolicy, Size
from tests.product.hosts.conftest import Clock
from tests.product.hosts.fleet import Fleet
from tests.product.test_api import problem
from tests.product.test_api_tokens import token
from tests.product.visitors import anonymous, signed_in
from tests.product.world import World


def at(world: World, rest: str = "") -> str:
    return f"/o/{world.acme.slug}/hosts{rest}"


def api(world: World, rest: str = "") -> str:
    return f"/api/v1/orgs/{world.acme.slug}/placements{rest}"


def body(answer: Any) -> str:
    assert answer.status_code == 200, answer
    return b"".join(answer.streaming_content).decode()


def words_of(answer: Any) -> str:
    """The page as its reader has it."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def test_an_empty_organization_is_told_what_belongs_here(world: World) -> None:
    answer = signed_in(world.alice).get(at(world))
    said = words_of(answer)
    assert "No VMs now" in said
    assert "The first one comes by itself when a workspace is opened" in said
    assert "stands here for good" in said
    assert answer.text.count('aria-current="page"') == 1


def test_v2_the_page_says_whose_vms_they_are_who_is_on_them_and_who_was(
    world: World, fleet: Fleet, clock: Clock
) -> None:
    one, other = fleet.awake("checkout"), fleet.awake("search")
    host = fleet.up(fleet.host(one))
    with tenancy.enter(world.acme.id):
        HostVoice.objects.create(host=host, generation=host.generation, image_version="2026.11.1")
    fleet.sleep(other)
    clock.pass_(hours=2)
    said = words_of(signed_in(world.vera).get(at(world)))
    assert "1 VM runs for Acme alone" in said
    assert "Nobody else's workspaces are ever on it." in said
    assert "Runtime VM 1 large, running since 2 h ago ; awake on it: checkout, 1 asleep." in said
    assert "base image 2026.11.1" in said
    assert "search with its runtime on Runtime VM 1 since 2 h ago" in said
    fleet.release(other)
    assert "from 2 h ago until just now" in words_of(signed_in(world.vera).get(at(world)))


def test_w13_the_image_of_a_vm_before_its_replacement_is_not_told(world: World, fleet: Fleet) -> None:
    host = fleet.host(fleet.awake())
    with tenancy.enter(world.acme.id):
        HostVoice.objects.create(host=host, generation=host.generation + 1, image_version="2026.11.1")
    assert "base image" not in signed_in(world.alice).get(at(world)).text


def test_w4_no_product_surface_names_the_cloud(world: World, fleet: Fleet) -> None:
    fleet.up(fleet.host(fleet.awake()))
    host = fleet.host()
    browser = signed_in(world.alice)
    shown = browser.get(at(world)).text + browser.get(api(world)).text
    shown += body(browser.get(api(world, "/export"), {"format": "jsonl"}))
    assert host.instance_id
    assert host.zone
    assert host.image
    assert host.address
    for hidden in (host.instance_id, host.zone, host.image, host.address):
        assert hidden not in shown
    assert str(host.id) not in browser.get(at(world)).text


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"trouble": "capacity"}, "No machine of this size is free at the moment."),
        ({"observed": "running", "running_since": None}, "on its way"),
        ({"mend": "replace"}, "being replaced"),
        ({"mend": "restart"}, "being started again"),
        ({"wanted": "stopped", "observed": "running"}, "stopping"),
        ({"wanted": "stopped", "observed": "stopped"}, "stopped until a workspace wakes"),
        ({"wanted": "ended"}, "being ended"),
    ],
)
def test_a_vm_that_does_not_run_says_why(
    columns: dict[str, Any], words: str, world: World, fleet: Fleet
) -> None:
    fleet.awake()
    with tenancy.enter(world.acme.id):
        Host.objects.update(**columns)
    said = words_of(signed_in(world.alice).get(at(world)))
    assert words in said
    assert "No VM runs now" in said


def test_the_headline_counts_what_the_list_calls_running(world: World, fleet: Fleet, clock: Clock) -> None:
    host = fleet.up(fleet.host(fleet.awake()))
    assert "1 VM runs for Acme alone" in words_of(signed_in(world.alice).get(at(world)))
    with tenancy.enter(world.acme.id):
        # Started again, and not heard of since.
        Host.objects.filter(id=host.id).update(joined_at=clock.now(), heard_at=host.created_at)
    said = words_of(signed_in(world.alice).get(at(world)))
    assert "No VM runs now" in said
    assert "on its way" in said


def test_i5_a_stranger_sees_what_is_not_there(world: World, fleet: Fleet) -> None:
    assert world.mallet
    fleet.awake("checkout")
    stranger = signed_in(world.mallory)
    assert stranger.get(at(world)).status_code == 404
    assert stranger.post(at(world), {"vm_per_workspace": "on"}).status_code == 404
    assert stranger.post(at(world, "/export"), {"form": "csv"}).status_code == 404
    for rest in ("", "/export?format=csv"):
        problem(stranger.get(api(world, rest)), 404)
        problem(anonymous().get(api(world, rest)), 401)
    # Neither do one's own pages name what is another's.
    host = fleet.host()
    assert "checkout" not in stranger.get(f"/o/{world.mallet.slug}/hosts").text
    mine = f"/api/v1/orgs/{world.mallet.slug}/placements"
    assert stranger.get(mine, {"vm": str(host.id)}).json() == {"placements": [], "next": None}
    assert body(stranger.get(f"{mine}/export", {"format": "jsonl", "vm": str(host.id)})) == ""


@pytest.mark.parametrize("name", ["bob", "vera", "bill"])
def test_i2_members_without_the_role_neither_choose_nor_export(name: str, world: World, fleet: Fleet) -> None:
    fleet.awake("checkout")
    browser = signed_in(getattr(world, name))
    shown = browser.get(at(world))
    if name == "bill":
        assert shown.status_code == 403
        assert "checkout" not in shown.text
        problem(browser.get(api(world)), 403)
    else:
        assert "Choosing this is not yours to do." in shown.text
        assert "Exporting is not yours to do." in shown.text
        assert "vm_per_workspace" not in shown.text
        assert browser.get(api(world)).status_code == 200
    assert browser.post(at(world), {"vm_per_workspace": "on"}).status_code == 403
    assert browser.post(at(world, "/export"), {"form": "csv"}).status_code == 403
    problem(browser.get(api(world, "/export?format=csv")), 403)
    assert fleet.events("placement.exported") == []
    with tenancy.enter(world.acme.id):
        assert not PlacementPolicy.objects.exists()


def test_n2_a_tokens_scopes_decide(world: World, fleet: Fleet) -> None:
    fleet.awake("checkout")
    _, _, held = token(world, "placement.view")
    program = Client(headers={"host": settings.CONSOLE_HOST, "authorization": f"Bearer {held}"})
    assert program.get(api(world)).json()["placements"][0]["workspace_name"] == "checkout"
    assert problem(program.get(api(world, "/export?format=csv")), 403)["rule"] == "token-scope"


def test_v3_a_vm_per_workspace_is_chosen_and_taken_back(world: World, fleet: Fleet) -> None:
    browser = signed_in(world.adam)
    assert browser.post(at(world), {"vm_per_workspace": "on"}).status_code == 303
    said = words_of(browser.get(at(world)))
    assert "Every workspace gets VMs of its own" in said
    assert "Let workspaces share VMs" in said
    fleet.awake("a")
    fleet.awake("b")
    assert len(fleet.hosts()) == 2
    assert words_of(browser.get(at(world))).count("for one workspace alone") == 2
    assert browser.post(at(world), {"vm_per_workspace": "off"}).status_code == 303
    assert "Give each workspace its own VMs" in words_of(browser.get(at(world)))
    assert len(fleet.events("organization.setting_changed")) == 2
    assert browser.post(at(world), {"vm_per_workspace": "perhaps"}).status_code == 422


def test_v2_each_export_is_whole_and_on_record(world: World, fleet: Fleet) -> None:
    fleet.awake("=HYPERLINK(1)")
    fleet.release(fleet.awake("search"))
    browser = signed_in(world.alice)
    rows = list(csv.DictReader(io.StringIO(body(browser.post(at(world, "/export"), {"form": "csv"})))))
    assert [row["workspace_name"] for row in rows] == ["search", "'=HYPERLINK(1)"]
    assert [bool(row["until"]) for row in rows] == [True, False]
    answer = browser.get(api(world, "/export"), {"format": "jsonl"})
    assert answer["content-disposition"].startswith(f'attachment; filename="{world.acme.slug}-placements-')
    lines = [json.loads(line) for line in body(answer).splitlines()]
    assert [line["organization"] for line in lines] == [world.acme.slug] * 2
    told = fleet.events("placement.exported")
    assert [event.facts for event in told] == [
        {"form": "jsonl", "placements": 2},
        {"form": "csv", "placements": 2},
    ]
    assert told[0].actor_label == world.alice.name
    assert browser.post(at(world, "/export"), {"form": "xls"}).status_code == 422


def test_v2_a_vm_and_a_period_are_asked_for(world: World, fleet: Fleet, clock: Clock) -> None:
    early = fleet.awake("early", dedicated=True)
    host = fleet.host(early)
    fleet.release(early)
    clock.pass_(days=2)
    fleet.awake("late")
    browser = signed_in(world.alice)
    between = (clock.now().date()).isoformat()

    def names(**asked: str) -> list[str]:
        listed = [one["workspace_name"] for one in browser.get(api(world), asked).json()["placements"]]
        lines = body(browser.get(api(world, "/export"), {"format": "jsonl", **asked})).splitlines()
        assert [json.loads(line)["workspace_name"] for line in lines] == listed
        return listed

    assert names() == ["late", "early"]
    assert names(since=between) == ["late"]
    assert names(until=between) == ["early"]
    assert names(vm=str(host.id)) == ["early"]
    assert names(vm=str(uuid4())) == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"vm": "x"}, "vm"),
        ({"since": "yesterday"}, "since"),
        ({"cursor": "x"}, "cursor"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"before": "x"}, "before"),
    ],
)
def test_what_cannot_be_read_is_named(asked: dict[str, str], field: str, world: World) -> None:
    assert field in str(problem(signed_in(world.alice).get(api(world), asked), 422)["fields"])


def test_the_history_goes_on_where_a_page_ended(world: World, fleet: Fleet) -> None:
    slots = [fleet.awake(f"w{number}", dedicated=True) for number in range(5)]
    with tenancy.enter(world.acme.id):
        # The same moment: then the id decides.
        first = fleet.placements()[0]
        type(first).objects.filter(slot_id__in=[slot.id for slot in slots[1:4]]).update(
            began_at=first.began_at
        )
    browser, seen = signed_in(world.alice), list[str]()
    cursor: str | None = ""
    while cursor is not None:
        answer: Any = browser.get(api(world), {"limit": "2", "cursor": cursor}).json()
        seen += [one["workspace_name"] for one in answer["placements"]]
        cursor = answer["next"]
    assert seen == ["w4", "w3", "w2", "w1", "w0"]


def test_pages_of_the_console_lead_on(world: World, fleet: Fleet) -> None:
    for number in range(52):
        fleet.awake(f"w{number:02}", dedicated=True)
    browser = signed_in(world.alice)
    page: Any = browser.get(at(world))
    assert "w51" in page.text
    assert "w00" not in page.text
    older = re.search(r'href="(\?[^"]*)" rel="next"', page.text)
    more = re.search(r'href="(\?[^"]*)">More VMs', page.text)
    assert older
    assert more
    deep = browser.get(at(world) + older[1].replace("&amp;", "&"))
    assert "<strong>w00</strong>" in deep.text
    assert "<strong>w51</strong>" not in deep.text
    last = browser.get(at(world) + more[1].replace("&amp;", "&"))
    assert "Runtime VM 1<" in last.text
    assert "First page of VMs" in last.text
    lost = browser.get(at(world), {"before": "x"})
    assert lost.status_code == 422
    assert "This is no place in the history" in lost.text


def test_the_number_of_queries_is_fixed(world: World, fleet: Fleet) -> None:
    browser = signed_in(world.alice)

    def cost(address: str) -> int:
        with CaptureQueriesContext(connection) as caught:
            assert browser.get(address).status_code == 200
        return len(caught)

    fleet.awake("one")
    few = [cost(at(world)), cost(api(world))]
    for number in range(6):
        fleet.awake(f"w{number}", dedicated=number % 2 == 0, size=Size.SMALL)
        fleet.awake(f"s{number}", role=HostRole.SHELL)
    assert [cost(at(world)), cost(api(world))] == few
