"""What VMs tell by themselves: heartbeats, reports, output; of workspaces that are on them, each thing once."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from envforge import tenancy
from envforge.actor import HostActor
from envforge_protocol.host.reports import Heartbeat, Report
from hosts import hooks
from hosts.hooks import OutputPart
from hosts.models import Host, HostReport, HostVoice
from hosts.overdue import sweep
from tests.product.host_api.machines import Daemon, change, command, place, run, stop, want, workspace
from tests.product.world import World


def host_of(daemon: Daemon) -> Host:
    with tenancy.enter(daemon.host.org_id):
        return Host.objects.get(id=daemon.host.id)


def sequence_of(daemon: Daemon) -> int:
    with tenancy.enter(daemon.host.org_id):
        return HostVoice.objects.get(host=daemon.host).sequence


def test_h6_a_heartbeat_is_noted_with_its_time(daemon: Daemon) -> None:
    assert host_of(daemon).heard_at is None
    # The first one of a start makes the VM ready; the others note their time and nothing else.
    daemon.beat(1)
    before = host_of(daemon)
    assert before.heard_at is not None
    answer = daemon.beat(2)
    assert answer.json()["instruction"] == "go_on"
    after = host_of(daemon)
    assert after.heard_at is not None
    assert after.heard_at > before.heard_at
    assert (after.version, after.wanted_at) == (before.version, before.wanted_at)


def test_an_earlier_or_repeated_heartbeat_changes_nothing(daemon: Daemon) -> None:
    daemon.beat(7)
    heard_at = host_of(daemon).heard_at
    for late in (6, 7):
        assert daemon.beat(late).status_code == 200
    assert daemon.beat(9, boot_id=str(uuid4())).status_code == 200, "of another start of the VM"
    assert (sequence_of(daemon), host_of(daemon).heard_at) == (7, heard_at)
    daemon.beat(8)
    assert sequence_of(daemon) == 8
    assert host_of(daemon).heard_at > heard_at  # type: ignore[operator]


def test_a_vm_that_is_not_counted_on_is_told_to_join_again(daemon: Daemon) -> None:
    change(daemon.host, joined_at=None)
    assert daemon.beat(1).json()["instruction"] == "join_again"


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> list[tuple[HostActor, Heartbeat]]:
    heard: list[tuple[HostActor, Heartbeat]] = []
    monkeypatch.setattr(hooks, "_heartbeats", [lambda actor, heartbeat: heard.append((actor, heartbeat))])
    return heard


def test_n1_a_vm_tells_only_of_workspaces_that_are_on_it(
    daemon: Daemon, beats: list[Any], stranger: Daemon
) -> None:
    here, elsewhere = workspace("here"), workspace("elsewhere")
    place(daemon.host, here)
    place(stranger.host, elsewhere)
    activity = [{"workspace_id": str(one.id), "shells": 1} for one in (here, elsewhere)]
    daemon.beat(1, activity=activity)
    daemon.beat(2)
    [(actor, heartbeat)] = beats
    assert (actor.host_id, actor.org_id) == (daemon.host.id, daemon.host.org_id)
    assert [one.workspace_id for one in heartbeat.activity] == [here.id]


def report(kind: str = "contract_changed", **more: Any) -> dict[str, Any]:
    body = {"kind": kind, "workspace_id": str(uuid4()), "directory": "web", "digest": "abc12345"}
    return {"id": str(uuid4()), "at": timezone.now().isoformat(), "body": body | more}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    heard: list[Report] = []

    def hear(_: HostActor, one: Report) -> None:
        if one.body.digest == "dead0000":  # type: ignore[union-attr]
            raise ZeroDivisionError
        heard.append(one)

    monkeypatch.setattr(hooks, "_reports", {"contract_changed": [hear]})
    return heard


def test_a_report_is_taken_once(daemon: Daemon, told: list[Report]) -> None:
    here = workspace()
    place(daemon.host, here)
    batch = {"reports": [report(workspace_id=str(here.id)) for _ in range(3)]}
    ids = [one["id"] for one in batch["reports"]]
    for _ in range(2):
        assert daemon.post("reports", batch).json() == {"ids": ids}
    assert [str(one.id) for one in told] == ids


def test_a_report_that_breaks_its_hearer_comes_again_and_holds_up_no_other(
    daemon: Daemon, told: list[Report]
) -> None:
    here = workspace()
    place(daemon.host, here)
    digests = ("aaaa0000", "dead0000", "bbbb0000")
    good, bad, also_good = (report(workspace_id=str(here.id), digest=digest) for digest in digests)
    answer = daemon.post("reports", {"reports": [good, bad, also_good]})
    assert answer.json() == {"ids": [good["id"], also_good["id"]]}
    bad["body"]["digest"] = "cccc0000"
    assert daemon.post("reports", {"reports": [bad]}).json() == {"ids": [bad["id"]]}
    assert [one.body.digest for one in told] == ["aaaa0000", "bbbb0000", "cccc0000"]  # type: ignore[union-attr]


def test_n1_a_report_of_a_workspace_that_was_never_here_is_heard_by_nobody(
    daemon: Daemon, stranger: Daemon, told: list[Report]
) -> None:
    theirs = workspace()
    place(stranger.host, theirs)
    one = report(workspace_id=str(theirs.id))
    assert daemon.post("reports", {"reports": [one]}).json() == {"ids": [one["id"]]}
    assert told == []
    assert stranger.post("reports", {"reports": [one]}).json() == {"ids": [one["id"]]}
    assert len(told) == 1, "the same id of another VM is another report"


def test_reports_are_remembered_for_a_bounded_time(daemon: Daemon, world: World, told: list[Report]) -> None:
    here = workspace()
    place(daemon.host, here)
    old = report(workspace_id=str(here.id)) | {"at": (timezone.now() - timedelta(days=31)).isoformat()}
    assert daemon.post("reports", {"reports": [old]}).json() == {"ids": [old["id"]]}
    assert told == [], "whether it was taken before is not known any more"
    with tenancy.enter(world.acme.id):
        assert HostReport.objects.count() == 1
        HostReport.objects.update(taken_at=timezone.now() - timedelta(days=32))
    sweep()
    with tenancy.enter(world.acme.id):
        assert not HostReport.objects.exists()


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[OutputPart]:
    parts: list[OutputPart] = []
    monkeypatch.setattr(hooks, "_outputs", [parts.append])
    return parts


def test_output_comes_in_order_each_byte_once(daemon: Daemon, kept: list[OutputPart]) -> None:
    wanted = want(daemon.host, run(workspace(), output_limit_bytes=10))

    def put(offset: int, data: bytes) -> Any:
        return daemon.post(f"runs/{wanted}/output?offset={offset}", data)

    assert put(0, b"abcd").json() == {"next_offset": 4, "full": False}
    assert put(0, b"abcd").json() == {"next_offset": 4, "full": False}, "the answer was lost, say"
    assert put(2, b"cdef").json() == {"next_offset": 6, "full": False}
    ahead = put(8, b"ij")
    assert (ahead.status_code, ahead.json()["next_offset"]) == (409, 6)
    assert put(6, b"ghijkl").json() == {"next_offset": 10, "full": True}
    assert b"".join(part.data for part in kept) == b"abcdefghij"
    assert [part.offset for part in kept] == [0, 4, 6]
    assert put(10, b"x" * (256 * 1024 + 1)).status_code == 413


def test_output_of_what_is_over_is_taken_for_a_while(daemon: Daemon, kept: list[OutputPart]) -> None:
    wanted = want(daemon.host, run(workspace()))
    [leased] = daemon.poll()
    daemon.done(leased, exit_status=0, duration_ms=1, output_bytes=2, truncated=False)
    path = f"runs/{wanted}/output?offset="
    assert daemon.post(path + "0", b"a").status_code == 200
    change(command(daemon.host, wanted), finished_at=timezone.now() - timedelta(hours=2))
    assert daemon.post(path + "1", b"b").status_code == 404
    assert (
        daemon.post(f"runs/{want(daemon.host, stop(workspace()))}/output?offset=0", b"a").status_code == 404
    )
