"""Who may issue no link any more is given no address of an earlier one (L1)."""

from datetime import timedelta
from typing import Any

import pytest

from devlinks.models import Issuers
from devlinks.operations import links
from devlinks.operations.policy import set_link_policy
from envforge.errors import NotAllowed
from orgs import operations
from orgs.roles import Role, Scope
from tests.product.devlinks.yard import Yard
from tests.product.visitors import signed_in
from tests.product.world import World


@pytest.mark.parametrize("left", ["link-policy", "role"])
def test_l1_neither_address_nor_surfaces_are_handed_out_any_more(yard: Yard, world: World, left: str) -> None:
    """L1: by the organization's policy, or since only a viewer's role is left; closing it stays one's own."""
    here: Any = {"scope": Scope.WORKSPACE, "scope_id": yard.workspace.id, "person_id": world.bob.id}
    bob = world.bob.as_actor()
    on: Any = {"actor": yard.alice, "org_id": yard.org}
    operations.grant_role(role=Role.COLLABORATOR, **on, **here)
    link = yard.issue(actor=bob, surfaces=["web"]).link
    mine: Any = {"actor": bob, "org_id": yard.org, "link_id": link.id}
    links.rotate_dev_link(**mine)
    if left == "role":
        operations.grant_role(role=Role.OBSERVER, **on, **here)
        operations.revoke_role(role=Role.COLLABORATOR, **on, **here)
    else:
        set_link_policy(issuers=Issuers.OPERATORS, **on)
    later = link.expires_at + timedelta(hours=1)
    for refused in (
        lambda: links.rotate_dev_link(**mine),
        lambda: links.extend_dev_link(expires_at=later, **mine),
        lambda: links.change_allowlist(surfaces=["web", "api"], **mine),
    ):
        with pytest.raises(NotAllowed):
            refused()
    browser, slug = signed_in(world.bob), yard.organization.slug
    page = browser.get(f"/o/{slug}/links/{link.id}").text
    assert ">Rotate<" not in page
    assert ">Extend<" not in page
    assert "is not yours to give" in page
    assert 'value="web"' in page
    assert 'value="api"' not in page
    assert browser.post(f"/o/{slug}/links/{link.id}/rotate").status_code == 403
    where = f"/o/{slug}/workspaces/{yard.workspace.id}"
    for page in (browser.get(where).text, browser.get(f"{where}/links/new").text):
        assert ">Issue a link<" not in page
        assert ">Issue the link<" not in page
        assert "Issuing links is not yours to do here" in page
    links.revoke_dev_link(**mine)
    assert yard.link(link).revoked_at is not None


def test_l1_who_may_issue_is_offered_rotating_and_extending(yard: Yard, world: World) -> None:
    link = yard.issue().link
    where = f"/o/{yard.organization.slug}/links/{link.id}"
    page = signed_in(world.alice).get(where).text
    assert ">Rotate<" in page
    assert ">Extend<" in page
    assert 'value="api"' in page
    assert signed_in(world.mallory).get(where).status_code == 404
