"""What comes at the wrong moment: answers of a VM that was lost, a restore too late or too early, rows that somebody else holds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from django.db import connection

from envforge import tenancy
from envforge.errors import Conflict
from envforge_protocol.host.commands import Failure
from hosts import queue
from hosts.models import HostCommand
from orgs.access import hold_access
from orgs.memberships import lock_member
from orgs.policy import Action
from projects import operations as projects
from projects.locks import locked_project
from tests.product.store import set_secret
from tests.product.workspaces.desk import Desk
from tests.product.workspaces.test_presence import left
from workspaces import ends
from workspaces.beats import read_contracts
from workspaces.models import Cap, CapMode, CommandType, Presence, Runtime, Shell, SleepCause, Workspace
from workspaces.operations import workspaces
from workspaces.operations.commands import run_command
from workspaces.reconcile import commands


@contextmanager
def held(desk: Desk, hold: Callable[[], object]) -> Iterator[None]:
    """Another transaction holds rows meanwhile; whoever waits for them here fails."""
    there, over = Event(), Event()

    def work() -> None:
        with tenancy.enter(desk.org_id):
            hold()
            there.set()
            over.wait(30)
        connection.close()

    other = Thread(target=work)
    other.start()
    try:
        assert there.wait(30)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1s'")
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
        over.set()
        other.join(30)


def lock_workspace(desk: Desk) -> None:
    workspace = Workspace.objects.select_for_update().get(id=desk.workspace.id)
    Runtime.objects.select_for_update().get(workspace=workspace)


def replaced(desk: Desk) -> None:
    """The VMs of the workspace are replaced: whatever was asked of them ends."""
    with tenancy.enter(desk.org_id):
        hosts = set(HostCommand.objects.filter(finished_at=None).values_list("host_id", flat=True))
        for host_id in hosts:
            queue.withdraw_all(host_id=host_id, word="host_replaced", sentence="It was replaced.")


def test_g2_an_answer_of_a_lost_vm_is_not_about_the_wake_that_goes_on_elsewhere(desk: Desk) -> None:
    """G2, W11: the same wake, the same key, another VM: neither the failure nor the success of the lost one counts."""
    desk.shell_up()
    desk.starting()
    old = desk.commands("start_runtime")[0]
    with tenancy.enter(desk.org_id):
        runtime = desk.runtime()
        runtime.workspace = Workspace.objects.get(id=desk.workspace.id)
        now = desk.clock.now()
        ends.lost(runtime, at=now, cause=SleepCause.SILENT, ran_until=now)
        runtime.save()
        # It comes up on the VM's next generation.
        HostCommand.objects.filter(id=old.id).update(generation=0)
    desk.drive()
    assert desk.runtime().observed == "starting"
    with tenancy.enter(desk.org_id):
        late = HostCommand.objects.select_for_update().get(id=old.id)
        queue.finish(
            late, outcome=None, failure=Failure(word="lease_lost", sentence="Nothing was heard.", again=True)
        )
    assert desk.runtime().observed == "starting"
    desk.start()
    assert desk.runtime().observed == "awake"


def test_w11_a_vm_is_replaced_while_a_workspace_is_held(desk: Desk) -> None:
    """W11: whoever replaces a VM holds it and ends its commands, and locks neither workspace nor runtime for that."""
    desk.awake()
    with tenancy.enter(desk.org_id):
        read_contracts(desk.row(), desk.vm().id, key="read/test", cause="changed")
    run_command(
        actor=desk.alice,
        org_id=desk.org_id,
        workspace_id=desk.workspace.id,
        service="web",
        type=CommandType.AGENT,
        argv=["true"],
    )
    commands.reconcile_all(desk.org_id, desk.workspace.id)
    assert desk.commands("read_contract")
    assert desk.commands("run_command")
    desk.clock.pass_(minutes=2)
    with held(desk, lambda: lock_workspace(desk)):
        replaced(desk)
    assert not desk.commands("run_command")


def test_w12_a_vm_that_leaves_is_replaced_while_its_workspace_is_held(desk: Desk) -> None:
    desk.shell_up()
    workspaces.archive_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id)
    desk.drive()
    assert desk.commands("remove_workspace")
    with held(desk, lambda: lock_workspace(desk)):
        replaced(desk)
    assert not desk.commands("remove_workspace")


def lock_a_member(desk: Desk) -> None:
    lock_member(desk.world.bob.id)


@pytest.mark.parametrize("hold", [lambda desk: hold_access(), lock_a_member])
def test_a_runtime_wakes_while_somebody_is_given_or_loses_access(
    desk: Desk, hold: Callable[[Desk], object]
) -> None:
    """Who does either locks the organization and wants a workspace next; whoever wakes one holds that and makes rows."""
    with held(desk, lambda: hold(desk)):
        desk.wake()
    assert desk.runtime().observed == "waking"


def test_i4_a_member_is_suspended_while_their_workspace_is_worked_on(desk: Desk) -> None:
    """I4: the one holds the organization and waits for the workspace, whose holder makes rows of the organization meanwhile."""
    locked, waits = Event(), Event()
    went_wrong: list[BaseException] = []

    def suspend() -> None:
        try:
            with tenancy.enter(desk.org_id):
                lock_member(desk.world.bob.id)
                locked.set()
                lock_workspace(desk)
        except BaseException as error:  # noqa: BLE001 - told below
            went_wrong.append(error)
        finally:
            waits.set()
            connection.close()

    other = Thread(target=suspend)
    with tenancy.enter(desk.org_id):
        lock_workspace(desk)
        other.start()
        assert locked.wait(30)
        # It waits for the workspace now, or is about to: what is made here must not wait for it.
        assert not waits.wait(0.3)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '5s'")
        Cap.objects.create(mode=CapMode.NONE, changed_at=desk.clock.now(), changed_by="test")
    other.join(30)
    assert not went_wrong


def test_w2_a_project_is_archived_while_a_vm_tells_of_its_trees(desk: Desk) -> None:
    """W2, W12: who archives holds the project and wants its workspaces; what a VM read becomes proposals of that project."""
    desk.awake()
    with tenancy.enter(desk.org_id):
        read_contracts(desk.row(), desk.vm().id, key="read/test", cause="changed")
    there = Event()
    went_wrong: list[BaseException] = []

    def archive() -> None:
        try:
            with tenancy.enter(desk.org_id):
                locked_project(desk.alice, Action.PROJECT_ARCHIVE, desk.project.id)
                there.set()
                # The other has everything it locks before the project by now.
                time.sleep(0.5)
                lock_workspace(desk)
        except BaseException as error:  # noqa: BLE001 - told below
            went_wrong.append(error)
        finally:
            connection.close()

    other = Thread(target=archive)
    other.start()
    assert there.wait(30)
    desk.read_contracts()
    other.join(30)
    assert not went_wrong


def test_w12_nothing_is_restored_once_its_files_are_being_deleted(desk: Desk) -> None:
    """W12: after the retention their deletion has begun, wherever it stands."""
    desk.shell_up()
    workspaces.archive_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id)
    desk.drive()
    left(desk)
    desk.clock.pass_(days=30, hours=1)
    with pytest.raises(Conflict, match="are gone"):
        workspaces.restore_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id)
    assert desk.row().wanted == Presence.ARCHIVED


def test_w12_restored_before_its_vm_has_left_the_shell_is_prepared_again(desk: Desk) -> None:
    """W12, W5: what the VM still does of the archiving closes the shell; preparing it stands behind that in the queue."""
    desk.shell_up()
    workspaces.archive_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id)
    desk.drive()
    [leaving] = desk.commands("remove_workspace")
    workspaces.restore_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id)
    desk.drive()
    assert desk.shell().observed == "preparing"
    [prepare] = desk.commands("prepare_shell")
    assert prepare.position > leaving.position
    left(desk)
    desk.prepare_shell()
    assert desk.shell().observed == "ready"


def test_k1_a_deleted_access_never_means_a_secret_of_the_same_name_elsewhere(desk: Desk) -> None:
    """K1: a project's own secret that goes does not hand the organization's, which its people may not see, to a git host."""
    set_secret(desk.world, "GIT_TOKEN")
    own = set_secret(desk.world, "GIT_TOKEN", project_id=desk.project.id)
    projects.change_repository(
        actor=desk.alice,
        org_id=desk.org_id,
        repository_id=desk.repositories["web"],
        url="https://git.test/acme/web.git",
        default_branch="main",
        access_id=own.id,
    )
    with tenancy.enter(desk.org_id):
        type(own).objects.filter(id=own.id).update(wanted="absent", deleted_at=desk.clock.now())
    desk.drive()
    desk.bring_vms_up()
    [prepare] = desk.commands("prepare_shell")
    assert {one["directory"]: one["access"] for one in prepare.payload["repositories"]} == {
        "backend": None,
        "web": None,
    }
    with tenancy.enter(desk.org_id):
        assert Shell.objects.get(workspace_id=desk.workspace.id).observed == "preparing"
