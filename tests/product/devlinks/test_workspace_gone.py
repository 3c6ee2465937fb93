"""What becomes of links when their workspace goes (W12, L4)."""

from typing import Any

from devlinks.models import Purge
from tests.product.devlinks.yard import Yard
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
