"""Deleting what lies with a managed resource, through the page and the API, to the wake that does it (W3, W12)."""

from typing import Any

import pytest
from django.utils import timezone

from envforge import tenancy
from envforge.errors import Conflict
from envforge_protocol.host.limits import Health
from envforge_protocol.host.reports import Heartbeat
from envforge_protocol.host.resources import ResourceState
from hosts.tokens import actor_for
from tests.product.visitors import signed_in
from tests.product.workspaces.desk import Desk
from tests.product.workspaces.test_managed import stored
from tests.product.workspaces.test_resources_page import page, part
from workspaces import beats
from workspaces.models import Account
from workspaces.operations.data import keep_data

__all__ = ["stored"]  # a fixture
KEY = "web/database"


def address(desk: Desk, of: str = KEY) -> str:
    return f"/o/{desk.world.acme.slug}/workspaces/{desk.workspace.id}/resources/{of}/data"


def post(desk: Desk, who: Any = None, **given: str) -> Any:
    return signed_in(who or desk.world.alice).post(address(desk), given)


def delete(desk: Desk) -> Any:
    return post(desk, act="delete", name="database")


def account(desk: Desk) -> Account:
    with tenancy.enter(desk.org_id):
        return Account.objects.get(workspace_id=desk.workspace.id, name=KEY)


def slept(desk: Desk) -> None:
    desk.awake()
    desk.sleep()
    desk.drive()
    desk.stop()


def facts(desk: Desk, kind: str) -> list[dict[str, Any]]:
    return [dict(event.facts) for event in desk.events(kind)]


def test_w3_it_is_asked_for_and_the_next_wake_does_it(stored: Desk) -> None:
    slept(stored)
    shown = signed_in(stored.world.alice).get(address(stored)).content.decode()
    assert "Delete the data of database?" in shown
    assert "Nobody can bring it back." in shown
    assert delete(stored).status_code == 303
    assert "Its data is deleted at the next wake, as Alice asked just now." in part(page(stored))
    assert facts(stored, "resource.data_deletion_asked") == [{"resource": KEY}]
    # Asked for again, it is the same.
    assert delete(stored).status_code == 303
    assert len(facts(stored, "resource.data_deletion_asked")) == 1
    stored.starting()
    told = stored.manifest().manifest.resources
    assert sorted(one.data for one in told) == [0, 0, 1]
    assert facts(stored, "resource.data_deleted") == []
    stored.start()
    assert facts(stored, "resource.data_deleted") == [{"resource": KEY, "asked_by": "Alice"}]
    assert "Its data outlives sleep" in part(page(stored))
    # The wakes after it keep what came since.
    stored.sleep()
    stored.drive()
    stored.stop()
    stored.starting()
    assert sorted((one.data, one.data_seen) for one in stored.manifest().manifest.resources) == [
        (0, 0),
        (0, 0),
        (1, 1),
    ]
    stored.start()
    assert len(facts(stored, "resource.data_deleted")) == 1


def test_awake_it_goes_on_until_it_sleeps(stored: Desk) -> None:
    stored.awake()
    assert (
        "it goes on with the data until it sleeps"
        in signed_in(stored.world.alice).get(address(stored)).content.decode()
    )
    assert delete(stored).status_code == 303
    assert stored.runtime().observed == "awake"
    assert facts(stored, "resource.data_deleted") == []


def test_it_is_taken_back_until_a_vm_was_told(stored: Desk) -> None:
    slept(stored)
    delete(stored)
    assert "Keep the data of database?" in signed_in(stored.world.alice).get(address(stored)).content.decode()
    assert post(stored, act="keep").status_code == 303
    assert facts(stored, "resource.data_deletion_taken_back") == [{"resource": KEY}]
    assert post(stored, act="keep").status_code == 303
    assert len(facts(stored, "resource.data_deletion_taken_back")) == 1
    delete(stored)
    stored.starting()
    refused = post(stored, act="keep")
    assert refused.status_code == 409
    assert "Nobody can stop it now" in refused.content.decode()
    with pytest.raises(Conflict):
        keep_data(
            actor=stored.alice,
            org_id=stored.org_id,
            workspace_id=stored.workspace.id,
            repository="web",
            resource="database",
        )
    stored.start()
    assert (account(stored).data_wanted, account(stored).data_observed) == (1, 1)


def test_its_name_is_typed_first(stored: Desk) -> None:
    slept(stored)
    wrong = post(stored, act="delete", name="databse")
    assert wrong.status_code == 422
    assert "This is not its name. Type database." in wrong.content.decode()
    assert account(stored).data_wanted == 0
    assert post(stored, act="drop", name="database").status_code == 422


def test_who_may_not_is_told_why_and_strangers_see_nothing(stored: Desk) -> None:
    slept(stored)
    world = stored.world
    seen = signed_in(world.vera).get(address(stored))
    assert seen.status_code == 200
    assert "<form" not in seen.content.decode().partition("<main")[2]
    assert "Delete its data" not in part(page(stored, world.vera))
    for who in (world.bob, world.vera):
        assert post(stored, who, act="delete", name="database").status_code == 403
    for who in (world.bill, world.mallory):
        assert signed_in(who).get(address(stored)).status_code == 404
        assert post(stored, who, act="delete", name="database").status_code == 404
    assert account(stored).data_wanted == 0


def test_what_has_no_data_has_no_page(stored: Desk) -> None:
    assert signed_in(stored.world.alice).get(address(stored)).status_code == 404
    slept(stored)
    assert signed_in(stored.world.alice).get(address(stored, "web/nothing")).status_code == 404
    assert signed_in(stored.world.alice).get(address(stored, "backend/database")).status_code == 200


def test_an_archived_workspace_keeps_or_loses_all_of_it(stored: Desk) -> None:
    from workspaces.operations.workspaces import archive_workspace

    slept(stored)
    archive_workspace(actor=stored.alice, org_id=stored.org_id, workspace_id=stored.workspace.id)
    refused = delete(stored)
    assert refused.status_code == 409
    assert "This workspace is archived" in refused.content.decode()


def test_the_page_tells_how_each_does_now(stored: Desk) -> None:
    """W3: as its VM last told, of this wake and that VM alone."""
    stored.awake()
    assert part(page(stored)).count("ready since just now") == 3
    runtime = stored.runtime()
    [name] = [one for one in runtime.resources if one.startswith("main-cache")]

    def beat(health: Health, epoch: int) -> None:
        state = ResourceState(
            workspace_id=stored.workspace.id,
            epoch=epoch,
            name=name,
            type="redis",
            health=health,
            since=timezone.now(),
        )
        heartbeat = Heartbeat(
            boot_id=stored.workspace.id,
            sequence=1,
            at=timezone.now(),
            resources=(state,),
            free_memory_mib=1,
            free_disk_mib=1,
        )
        with tenancy.enter(stored.org_id):
            beats.note_resources(actor_for(stored.vm()), heartbeat)

    beat(Health.CRASHED, runtime.epoch - 1)
    assert "crashed" not in part(page(stored))
    beat(Health.CRASHED, runtime.epoch)
    told = part(page(stored))
    assert "main_cache of web, crashed since just now. What it said is in the shell, in logs/." in told
    stored.sleep()
    assert "crashed" not in part(page(stored))
