"""What a VM tells of its walls: shown in words, and where they are required nothing is let in (H1, H3)."""

from typing import Any

import pytest
from django.test import override_settings

from envforge_protocol.host.commands import StartRuntime
from envforge_protocol.host.reports import Wall
from envforge_protocol.host.runtimes import Manifest
from hosts import walls
from hosts.models import Host, Mend, Observed
from hosts.placement import is_ready
from tests.product.host_api.conftest import address
from tests.product.host_api.machines import Daemon, change, new_host, run, stop, want, workspace
from tests.product.hosts.fleet import Fleet
from tests.product.hosts.test_pages import at, words_of
from tests.product.visitors import signed_in
from tests.product.visitors_of_support import staff_browser
from tests.product.world import World

__all__ = ["address"]  # a fixture
MISSING = {"missing_walls": ["network_namespaces", "limits"]}
SAID = "This VM runs without: network walls between workspaces, limits of memory and processors."


@pytest.fixture
def daemon(world: World, address: str) -> Daemon:
    return Daemon(address, new_host(world.acme))


def kinds(daemon: Daemon) -> list[str]:
    return [leased.payload.kind for leased in daemon.poll()]


def fresh(daemon: Daemon, fleet: Fleet) -> Host:
    return fleet.fresh(daemon.host)


def start_and_end(daemon: Daemon) -> None:
    """Ask for a start, a command and a stop, each of another workspace so that none waits for the other."""
    want(daemon.host, StartRuntime(workspace=workspace(), manifest=Manifest(epoch=1, services=())))
    want(daemon.host, run(workspace()))
    want(daemon.host, stop(workspace()))


def test_h3_where_walls_are_required_a_vm_without_some_lets_nobody_in_and_is_replaced(
    daemon: Daemon, fleet: Fleet
) -> None:
    start_and_end(daemon)
    with override_settings(HOST_WALLS="required"):
        assert kinds(daemon) == ["stop_runtime"], "it has not told of its walls yet"
        assert daemon.beat(1, **MISSING).status_code == 200
        assert kinds(daemon) == []
        host = fresh(daemon, fleet)
        assert (host.mend, host.mend_cause, host.trouble) == (Mend.REPLACE, "walls", "walls")
        assert not is_ready(host)
        assert host.due_at is not None
        # Told again, it is no second failure.
        daemon.beat(2, **MISSING)
        assert fresh(daemon, fleet).failures == host.failures == 1


def test_h3_walls_that_fall_later_count_as_well(daemon: Daemon, fleet: Fleet) -> None:
    with override_settings(HOST_WALLS="required"):
        daemon.beat(1)
        assert is_ready(fresh(daemon, fleet))
        daemon.beat(2, **MISSING)
        assert fresh(daemon, fleet).mend_cause == "walls"


def test_h3_a_vm_with_all_walls_lets_in_what_waited_for_its_word(daemon: Daemon) -> None:
    start_and_end(daemon)
    with override_settings(HOST_WALLS="required"):
        kinds(daemon)
        daemon.beat(1)
        assert kinds(daemon) == ["start_runtime", "run_command"]


def test_for_development_it_runs_and_says_so(daemon: Daemon, fleet: Fleet, world: World) -> None:
    """H3: an ordinary user's local cloud has no namespaces; members and support read that in words."""
    start_and_end(daemon)
    daemon.beat(1, **MISSING)
    assert is_ready(fresh(daemon, fleet))
    assert kinds(daemon) == ["start_runtime", "run_command", "stop_runtime"]
    assert SAID in words_of(signed_in(world.alice).get(at(world)))
    assert SAID in words_of(staff_browser(world.person("Sam")).get("/lists/fleet/"))


def test_where_all_stand_nothing_is_said(daemon: Daemon, world: World) -> None:
    daemon.beat(1)
    assert "runs without" not in words_of(signed_in(world.alice).get(at(world)))
    assert "all stand" in words_of(staff_browser(world.person("Sam")).get("/lists/fleet/"))


def test_h3_placement_goes_past_a_vm_without_walls(fleet: Fleet) -> None:
    """Even while its replacement has not begun: the setting may have changed a moment ago."""
    worse = fleet.up(fleet.host(fleet.awake()))
    sleeper = fleet.awake("sleeper", dedicated=True)
    better = fleet.up(fleet.host(sleeper))
    fleet.sleep(sleeper)
    change(worse, missing_walls=["firewall"])
    change(better, missing_walls=[], dedicated_to=None)
    slot = fleet.claim("newcomer")
    with override_settings(HOST_WALLS="required"):
        assert fleet.wake(slot).host_id == better.id


@pytest.mark.parametrize("columns", [{"observed": Observed.STOPPED}, {"joined_at": None}])
def test_a_start_of_the_vm_tells_anew(columns: dict[str, Any], fleet: Fleet) -> None:
    host = fleet.up(fleet.host(fleet.awake()))
    change(host, missing_walls=["firewall"], **columns)
    assert fleet.join(host).missing_walls is None


def test_every_wall_has_words() -> None:
    assert walls.WORDS.keys() == set(Wall)
    assert walls.says(None) == walls.says([]) == ""
