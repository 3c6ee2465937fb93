"""What a VM says was declared in a shell, from the door that VMs have to the page that people read (W6, W7)."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from orgs.models import Person
from tests.product.host_api import machines
from tests.product.host_api.machines import Daemon
from tests.product.meters import Metered, Times
from tests.product.visitors import signed_in
from tests.product.world import World
from workspaces.models import JobLease, Workspace


@pytest.fixture
def metered(world: World) -> Metered:
    return Metered(world, Times(timezone.now()))


@pytest.fixture
def awake(metered: Metered) -> Workspace:
    workspace = metered.workspace()
    metered.wake(workspace)
    return workspace


def put(daemon: Daemon, workspace: Workspace) -> None:
    place = machines.workspace(workspace.slug)
    machines.place(daemon.host, place.model_copy(update={"id": workspace.id}))


def declared(workspace: Workspace, why: str, **more: Any) -> dict[str, Any]:
    until = (timezone.now() + timedelta(hours=2, seconds=30)).isoformat()
    said = {"until": until, "reason": why} | more
    return {"activity": [{"workspace_id": str(workspace.id), "shells": 1, "declared": said}]}


def why(world: World, workspace: Workspace, who: Person) -> str:
    answer = signed_in(who).get(f"/o/{world.acme.slug}/workspaces/{workspace.id}")
    assert answer.status_code == 200
    found = re.search(r'<section aria-labelledby="why".*?</section>', answer.content.decode(), re.DOTALL)
    assert found
    return " ".join(re.sub("</?(time|p)\\b[^>]*>", " ", found[0]).split())


def test_w6_the_page_says_who_keeps_it_awake_for_how_long_and_why(
    world: World, daemon: Daemon, awake: Workspace
) -> None:
    put(daemon, awake)
    before = why(world, awake, world.vera)
    assert daemon.beat(1, **declared(awake, "the <b>long</b> import")).status_code == 200
    said = why(world, awake, world.vera)
    assert "keeps it awake" not in before
    assert "Its shell keeps it awake for 2 h more: “the &lt;b&gt;long&lt;/b&gt; import”." in said, said
    over = declared(awake, "", until="1970-01-01T00:00:00Z")
    assert daemon.beat(2, **over).status_code == 200
    assert "keeps it awake" not in why(world, awake, world.vera)
    page = f"/o/{world.acme.slug}/workspaces/{awake.id}"
    assert signed_in(world.mallory).get(page).status_code == 404


def test_n1_a_vm_that_does_not_have_the_workspace_declares_nothing(
    world: World, daemon: Daemon, stranger: Daemon, awake: Workspace
) -> None:
    """Neither another one of the organization, nor another organization's that claims it."""
    put(stranger, awake)
    for other in (daemon, stranger):
        assert other.beat(1, **declared(awake, "theirs")).status_code == 200
    for org in (world.acme, world.mallet):
        with tenancy.enter(org.id):
            assert not JobLease.objects.exists()
            assert not Event.objects.filter(kind="runtime.extended").exists()


@pytest.mark.parametrize(
    "more",
    [{"until": "2099-01-01T00:00:00"}, {"until": "soon"}, {"reason": "x" * 81}, {"by": "root"}],
    ids=["no zone", "no time", "too long", "unknown"],
)
def test_h2_what_is_no_declaration_is_refused_at_the_door(
    world: World, daemon: Daemon, awake: Workspace, more: dict[str, str]
) -> None:
    put(daemon, awake)
    assert daemon.beat(1, **declared(awake, "why", **more)).status_code == 422
    with tenancy.enter(world.acme.id):
        assert not JobLease.objects.exists()
