"""What becomes of links when their workspace goes (W12, L4)."""

from typing import Any

import pytest

from devlinks.models import Purge
from devlinks.purges import revision_now
from projects import operations as projects
from tests.product.devlinks.test_relay import ready, ticket
from tests.product.devlinks.yard import Gateway, Yard
from workspaces.operations.workspaces import archive_workspace, delete_workspace, restore_workspace
from workspaces.removals import remove_parts


def test_w12_l4_links_end_with_their_workspace(yard: Yard) -> None:
    """Archived, they rest and open again with it; removed for good, they are revoked, and whoever is in is cut."""
    link = yard.issue().link
    here: Any = {"actor": yard.alice, "org_id": yard.org, "workspace_id": yard.workspace.id}
    archive_workspace(**here)
    restore_workspace(**here)
    assert yard.link(link).revoked_at is None
    delete_workspace(**here)
    assert remove_parts(yard.org, yard.workspace.id) == 1
    assert yard.link(link).revoked_cause == "workspace_removed"
    assert Purge.objects.filter(kind="workspace", key_id=yard.workspace.id, cut=True).exists()
    [event] = yard.events("dev_link.revoked")
    assert event.actor_label == "EnvForge"
    assert remove_parts(yard.org, yard.workspace.id) == 0


@pytest.mark.parametrize("how", ["archived", "deleted", "project"])
def test_h7_whoever_is_in_is_cut_with_the_archive_also_in_relayed_shells(
    yard: Yard, gateway: Gateway, how: str
) -> None:
    """H7, L4: the purge of the workspace is what the gateway holds relays under, and unspent tickets are void."""
    ready(yard)
    spent, unspent = ticket(yard), ticket(yard)
    shell = gateway.ask("shells", ticket=spent)["shell"]
    assert shell["workspace_id"] == str(yard.workspace.id)
    before = revision_now()
    on: Any = {"actor": yard.alice, "org_id": yard.org}
    if how == "project":
        projects.archive_project(project_id=yard.project.id, **on)
    else:
        archive_workspace(workspace_id=yard.workspace.id, **on)
        restore_workspace(workspace_id=yard.workspace.id, **on)
        if how == "deleted":
            before = revision_now()
            delete_workspace(workspace_id=yard.workspace.id, **on)
    cut = Purge.objects.filter(revision__gt=before, kind="workspace", cut=True)
    assert [one.key_id for one in cut] == [yard.workspace.id]
    # Not even when it is there again.
    assert gateway.ask("shells", ticket=unspent)["refused"]["word"] == "code"
