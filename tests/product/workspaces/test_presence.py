"""Opening, archiving, restoring and deleting workspaces: who may, and what becomes of everything they held (W4, W12)."""

from typing import Any
from uuid import UUID

import pytest

from envforge import tenancy
from envforge.errors import Conflict, Invalid, NotAllowed, NotVisible
from envforge_protocol.host.commands import Done, RemoveWorkspace
from hosts import queue
from hosts.models import DataVolume, Host, Size, Slot, WorkspaceFiles
from hosts.volumes import want_volume
from orgs.models import RoleGrant
from projects import operations as projects
from secrets_ref.models import Secret
from tests.product.store import set_secret
from tests.product.workspaces.desk import Desk
from workspaces.models import Power, Presence, WakeCause, Workspace
from workspaces.operations import runtimes, workspaces
from workspaces.removals import _removers, remove_with


def left(desk: Desk) -> None:
    """Each VM says that it has nothing of the workspace any more."""
    for _ in desk.commands("remove_workspace"):
        command = desk.commands("remove_workspace")[0]
        with tenancy.enter(desk.org_id):
            queue.finish(command, outcome=Done(kind="remove_workspace"), failure=None)
        desk.drive()


def slots(desk: Desk) -> int:
    with tenancy.enter(desk.org_id):
        return Slot.objects.filter(workspace_id=desk.workspace.id, released_at=None).count()


def test_w4_a_branch_has_one_workspace(desk: Desk) -> None:
    """W4: opening it again is the same one; its opener is its operator; its slug is nobody else's, ever."""
    again = workspaces.open_workspace(
        actor=desk.alice, org_id=desk.org_id, project_id=desk.project.id, branch="feature/rooms"
    )
    assert again.id == desk.workspace.id
    assert again.slug == "feature-rooms"
    with tenancy.enter(desk.org_id):
        assert RoleGrant.objects.filter(scope_id=again.id, role="operator").count() == 1
    other = workspaces.open_workspace(
        actor=desk.alice, org_id=desk.org_id, project_id=desk.project.id, branch="Feature_rooms"
    )
    workspaces.delete_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=other.id)
    third = workspaces.open_workspace(
        actor=desk.alice, org_id=desk.org_id, project_id=desk.project.id, branch="Feature_rooms"
    )
    assert (other.slug, third.slug) == ("feature-rooms-2", "feature-rooms-3")
    with pytest.raises(Invalid):
        workspaces.open_workspace(
            actor=desk.alice, org_id=desk.org_id, project_id=desk.project.id, branch="--upload-pack=x"
        )


def test_who_may_do_what(desk: Desk) -> None:
    """A viewer sees and may not; somebody of another organization does not even see."""
    vera, mallory = desk.world.vera.as_actor(), desk.world.mallory.as_actor()
    here: Any = {"org_id": desk.org_id, "workspace_id": desk.workspace.id}
    for refused in (
        lambda who: runtimes.wake_runtime(actor=who, cause=WakeCause.CONSOLE, **here),
        lambda who: runtimes.sleep_runtime(actor=who, **here),
        lambda who: workspaces.archive_workspace(actor=who, **here),
        lambda who: workspaces.restore_workspace(actor=who, **here),
        lambda who: workspaces.delete_workspace(actor=who, **here),
        lambda who: workspaces.choose_size(actor=who, size=Size.LARGE, **here),
        lambda who: workspaces.choose_idle_timeout(actor=who, seconds=600, **here),
    ):
        with pytest.raises(NotAllowed):
            refused(vera)
        with pytest.raises(NotVisible):
            refused(mallory)
    with pytest.raises(NotAllowed):
        workspaces.open_workspace(actor=vera, org_id=desk.org_id, project_id=desk.project.id, branch="x")
    # Of another organization's workspace an organization's own people see nothing.
    with pytest.raises(NotVisible):
        runtimes.wake_runtime(
            actor=mallory,
            org_id=desk.world.mallet.id,
            workspace_id=desk.workspace.id,
            cause=WakeCause.CONSOLE,
        )


def test_w12_archived_it_holds_no_vm_and_keeps_its_files(desk: Desk) -> None:
    """W12: asleep, both VMs left, no room taken; restored, the shell is prepared anew over the same files."""
    desk.awake()
    workspaces.archive_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id)
    assert desk.runtime().routed is False
    desk.drive()
    desk.stop()
    desk.pass_(seconds=11)
    assert {command.payload["delete_files"] for command in desk.commands("remove_workspace")} == {False}
    left(desk)
    desk.pass_(seconds=11)
    assert (desk.shell().observed, slots(desk)) == ("absent", 0)
    row = desk.row()
    assert (row.removed_at, row.due_at) == (None, row.retain_until)
    with pytest.raises(Conflict, match="archived"):
        desk.wake()
    with pytest.raises(Conflict, match="Restore it"):
        workspaces.open_workspace(
            actor=desk.alice, org_id=desk.org_id, project_id=desk.project.id, branch="feature/rooms"
        )
    workspaces.restore_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id)
    with tenancy.enter(desk.org_id):
        uid = WorkspaceFiles.objects.get(workspace_id=desk.workspace.id).uid
    desk.drive()
    desk.bring_vms_up()
    [prepare] = desk.commands("prepare_shell")
    assert prepare.payload["workspace"]["uid"] == uid
    desk.prepare_shell()
    assert desk.shell().observed == "ready"
    assert len(desk.events("workspace.restored")) == 1


def test_w12_deleted_everything_of_it_goes_and_a_receipt_says_so(desk: Desk) -> None:
    """W12: files on a VM, then their place, its volume, its own secrets, what other apps keep; then the final receipt."""
    desk.awake()
    want_volume(org_id=desk.org_id, workspace_id=desk.workspace.id)
    set_secret(desk.world, "TOKEN", project_id=desk.project.id, workspace_id=desk.workspace.id)
    asked: list[object] = []

    def remove(_org_id: UUID, workspace_id: UUID) -> int:
        asked.append(workspace_id)
        return 2

    remove_with("test", remove)
    try:
        workspaces.delete_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id)
        desk.drive()
        desk.stop()
        desk.pass_(seconds=11)
        payloads = [queue.payload_of(one) for one in desk.commands("remove_workspace")]
        assert sorted(one.delete_files for one in payloads if isinstance(one, RemoveWorkspace)) == [
            False,
            True,
        ]
        assert desk.row().files_deleted_at is None
        left(desk)
        desk.pass_(seconds=11)
    finally:
        del _removers["test"]
    row = desk.row()
    assert (row.wanted, row.removed_at is not None, row.due_at) == (Presence.DELETED, True, None)
    assert set(asked) == {desk.workspace.id}
    assert slots(desk) == 0
    with tenancy.enter(desk.org_id):
        assert not WorkspaceFiles.objects.get(workspace_id=desk.workspace.id).wanted_present
        assert not DataVolume.objects.get(workspace_id=desk.workspace.id).wanted_present
        assert not Secret.objects.filter(workspace_id=desk.workspace.id, deleted_at=None).exists()
    [receipt] = desk.events("workspace.removed")
    assert (receipt.facts["parameters"], receipt.facts["others"], receipt.facts["wakes"]) == (1, 2, 1)
    [window] = desk.windows()
    assert receipt.facts["awake_s"] == window.seconds
    with pytest.raises(NotVisible):
        desk.wake()


def test_w12_what_was_archived_goes_when_its_time_is_over(desk: Desk) -> None:
    """W12: after the retention a VM is started for it, deletes the files, and is let go."""
    desk.shell_up()
    workspaces.archive_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id)
    desk.drive()
    left(desk)
    desk.pass_(seconds=11)
    assert desk.row().removed_at is None
    desk.pass_(days=30, hours=1)
    with tenancy.enter(desk.org_id):
        Host.objects.update(heard_at=desk.clock.now())
    desk.drive()
    for _ in range(4):
        desk.bring_vms_up()
        desk.pass_(seconds=11)
    left(desk)
    desk.pass_(seconds=11)
    assert desk.row().removed_at is not None
    with pytest.raises(Conflict, match="are gone"):
        workspaces.restore_workspace(actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id)


def test_w12_a_branch_that_is_gone_is_told_and_decided_by_people(desk: Desk) -> None:
    """W12: looked at once a day; told once, in the timeline and the row, and nothing is removed for it. One that was never pushed is new."""

    def seen(web: bool | None, backend: bool | None) -> None:
        answers = {"web": web, "backend": backend}
        trees = {one.directory: one for one in desk.trees()}
        desk.prepare_shell(
            **{
                name: tree.model_copy(update={"branch_is_there": answers[name]})
                for name, tree in trees.items()
            }
        )

    def a_day_later() -> None:
        desk.clock.pass_(days=1, minutes=1)
        with tenancy.enter(desk.org_id):
            Host.objects.update(heard_at=desk.clock.now())
        desk.drive()

    desk.drive()
    desk.bring_vms_up()
    seen(web=False, backend=False)
    assert desk.row().branch_gone_at is None
    for answers in ((True, False), (None, False), (False, False), (False, False)):
        a_day_later()
        seen(*answers)
    assert desk.row().branch_gone_at is not None
    assert [one.facts["branch"] for one in desk.events("workspace.branch_gone")] == ["feature/rooms"]
    assert (desk.row().wanted, desk.shell().observed) == (Presence.PRESENT, "ready")
    assert len(desk.events("shell.ready")) == 1
    a_day_later()
    seen(web=True, backend=False)
    assert desk.row().branch_gone_at is None


def test_w8_a_chosen_size_counts_from_the_next_wake(desk: Desk) -> None:
    """W8: larger than any contract asks for; its VM is one that has the room."""
    desk.awake()
    workspaces.choose_size(
        actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id, size=Size.LARGE
    )
    workspaces.choose_idle_timeout(
        actor=desk.alice, org_id=desk.org_id, workspace_id=desk.workspace.id, seconds=600
    )
    assert desk.runtime().size == "small"
    desk.sleep()
    desk.drive()
    desk.stop()
    desk.awake()
    assert (desk.runtime().size, desk.runtime().idle_timeout_s) == ("large", 600)
    assert [one.size for one in desk.windows()] == ["small", "large"]


def test_an_archived_project_opens_nothing(desk: Desk) -> None:
    """Nothing new is opened in it."""
    projects.archive_project(actor=desk.alice, org_id=desk.org_id, project_id=desk.project.id)
    with pytest.raises(Conflict):
        workspaces.open_workspace(
            actor=desk.alice, org_id=desk.org_id, project_id=desk.project.id, branch="other"
        )
    with tenancy.enter(desk.org_id):
        assert Workspace.objects.count() == 1


def test_w12_an_archived_project_takes_its_workspaces_along(desk: Desk) -> None:
    """W12: they sleep and let their VMs go; their files are kept as long as those of any archived workspace."""
    desk.awake()
    projects.archive_project(
        actor=desk.world.alice.as_actor(), org_id=desk.org_id, project_id=desk.project.id
    )
    with tenancy.enter(desk.org_id):
        row = Workspace.objects.select_related("runtime", "shell").get(id=desk.workspace.id)
    assert (row.wanted, row.runtime.wanted, row.shell.wanted) == (Presence.ARCHIVED, Power.ASLEEP, False)
    assert row.retain_until is not None
