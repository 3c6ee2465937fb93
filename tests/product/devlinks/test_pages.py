"""The pages of links: issued in two clicks, shown once, revoked with a receipt; nothing of VMs or addresses (L1, L4, W4)."""

import re
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from devlinks import gateways
from devlinks.models import Gateway, PurgeReceipt
from devlinks.operations import links
from devlinks.operations.policy import set_link_policy
from devlinks.purges import revision_now
from orgs import operations
from orgs.roles import Role, Scope
from tests.product.devlinks.test_purges import new_gateway
from tests.product.devlinks.yard import Yard
from tests.product.visitors import signed_in
from tests.product.world import World


def test_l1_a_link_is_issued_from_the_workspaces_page_and_shown_once(yard: Yard, world: World) -> None:
    browser, slug = signed_in(world.alice), yard.organization.slug
    page = browser.get(f"/o/{slug}/workspaces/{yard.workspace.id}")
    assert "Issue a link" in page.text
    action = f"/o/{slug}/workspaces/{yard.workspace.id}/links/new"
    assert action in page.text
    shown = browser.post(action, {"service": "web"})
    assert shown.status_code == 200
    assert shown.headers["Cache-Control"] == "no-store"
    [address] = re.findall(re.escape(settings.DEV_URL) + r"/share/[\w.-]+", shown.text)
    assert address.count(".") >= 2
    page = browser.get(f"/o/{slug}/workspaces/{yard.workspace.id}")
    assert "web for review" in page.text
    for where in (f"/o/{slug}/links", f"/o/{slug}/workspaces/{yard.workspace.id}"):
        assert address.rpartition("/")[2] not in browser.get(where).text


def test_l5_the_form_says_where_paths_lead(yard: Yard, world: World) -> None:
    page = signed_in(world.alice).get(f"/o/{yard.organization.slug}/workspaces/{yard.workspace.id}/links/new")
    assert "<code>/api</code> is answered by backend" in page.text
    # What leads on to others is offered first, whatever its name.
    assert page.text.index('value="web"') < page.text.index('value="backend"')
    assert "tool" not in re.sub(r"<head>.*?</head>", "", page.text, flags=re.DOTALL)


def test_what_cannot_be_used_stands_beside_its_field(yard: Yard, world: World) -> None:
    browser, slug = signed_in(world.alice), yard.organization.slug
    action = f"/o/{slug}/workspaces/{yard.workspace.id}/links/new"
    for wrong in (
        {"service": "tool"},
        {"service": "web", "lifetime": "x"},
        {"service": "web", "note": "x" * 501},
    ):
        page = browser.post(action, wrong)
        assert page.status_code in {200, 422}
    page = browser.post(action, {"service": "tool", "name": "Kept"})
    assert page.status_code == 422
    assert 'value="Kept"' in page.text


def test_l4_revoking_shows_which_gateway_cut_how_many_and_which_has_not_said_so(
    yard: Yard, world: World
) -> None:
    Gateway.objects.update(left_at=timezone.now())
    busy, silent = new_gateway("gateway-1"), new_gateway("gateway-2")
    gateways.extend_leases([busy.id, silent.id])
    issued = yard.issue(name="Design review")
    browser, slug = signed_in(world.alice), yard.organization.slug
    answer = browser.post(f"/o/{slug}/links/{issued.link.id}/revoke")
    assert answer.status_code == 303
    PurgeReceipt.objects.create(revision=revision_now(), gateway=busy, applied_at=timezone.now(), cut=3)
    Gateway.objects.filter(id=busy.id).update(acknowledged=revision_now())
    page = browser.get(answer["location"])
    assert "“Design review” is revoked" in page.text
    assert "3 connections cut" in page.text
    assert "1 gateway not heard yet" in page.text
    assert "has not said so yet" in page.text
    seen = browser.get(f"/api/v1/orgs/{slug}/links/{issued.link.id}").json()
    assert seen["receipts"][0]["cut"] == 3
    assert seen["receipts"][0]["waits_for"] == 1


def test_w4_pages_of_links_show_no_vm_and_no_address(yard: Yard, world: World) -> None:
    issued = yard.issue()
    yard.awake()
    browser, slug = signed_in(world.alice), yard.organization.slug
    for where in (f"/o/{slug}/links", f"/o/{slug}/links/{issued.link.id}"):
        text = browser.get(where).text
        for word in ("10.20.1.7", "20001", "Runtime VM", "i-0"):
            assert word not in text


def test_the_list_comes_in_pages(yard: Yard, world: World) -> None:
    from devlinks import selectors

    made = [yard.issue(name=f"Link {number}").link.id for number in range(selectors.PAGE_SIZE + 1)]
    first = selectors.links(actor=yard.alice, slug=yard.organization.slug)
    second = selectors.links(actor=yard.alice, slug=yard.organization.slug, after=first.next_after)
    assert [one.id for one in (*first.links, *second.links)] == made[::-1]
    assert second.next_after is None


def test_the_fourth_state_counts_open_links(yard: Yard, world: World) -> None:
    issued = yard.issue()
    yard.issue(lifetime=timedelta(minutes=5))
    browser, slug = signed_in(world.alice), yard.organization.slug
    seen = browser.get(f"/api/v1/orgs/{slug}/workspaces/{yard.workspace.id}").json()
    assert seen["dev_links"] == 2
    links.revoke_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
    seen = browser.get(f"/api/v1/orgs/{slug}/workspaces/{yard.workspace.id}").json()
    assert seen["dev_links"] == 1


def test_i4_a_members_links_are_seen_handed_over_and_revoked_from_their_page(
    yard: Yard, world: World
) -> None:
    browser, slug = signed_in(world.alice), yard.organization.slug
    of_adam, of_bob = (f"/o/{slug}/members/{one.id}" for one in (world.adam, world.bob))
    assert "open dev link" not in browser.get(of_adam).text
    for _ in range(2):
        yard.issue(actor=world.adam.as_actor())
    for where in (of_adam, f"{of_adam}/remove"):
        page = browser.get(where)
        assert "2 open dev links" in page.text
        assert f"{of_adam}/links" in page.text
    page = browser.get(f"{of_adam}/links")
    assert "Adam answers for 2 open dev links" in page.text
    assert "Revoke 2 links: whoever is in is out at once" in page.text
    for wrong, words in (
        ("", "No member is found"),
        (world.mallory.email, "No member is found"),
        (world.adam.email, "Choose somebody else"),
    ):
        page = browser.post(f"{of_adam}/links/hand-over", {"to": wrong})
        assert page.status_code == 422
        assert words in page.text
    done = browser.post(f"{of_adam}/links/hand-over", {"to": world.bob.email.upper()})
    assert (done.status_code, done["Location"]) == (303, f"{of_bob}/links")
    assert "Bob answers for 2 open dev links" in browser.get(f"{of_bob}/links").text
    assert "answers for no open dev link" in browser.get(f"{of_adam}/links").text
    assert len(yard.events("dev_link.handed_over")) == 2
    # Bob sees his own, and neither Adam's nor anything to hand over.
    bobs = signed_in(world.bob)
    assert "You answer for 2 open dev links" in bobs.get(f"{of_bob}/links").text
    assert "Handing over is not yours to do" in bobs.get(f"{of_bob}/links").text
    assert bobs.get(f"{of_adam}/links").status_code == 403
    assert bobs.post(f"{of_adam}/links/revoke").status_code == 403
    assert signed_in(world.mallory).get(f"{of_adam}/links").status_code == 404
    assert browser.post(f"{of_bob}/links/revoke").status_code == 303
    assert "Bob answers for no open dev link" in browser.get(f"{of_bob}/links").text
    assert len(yard.events("dev_link.revoked")) == 2


def test_l1_what_the_link_policy_refuses_is_not_offered(yard: Yard, world: World) -> None:
    operations.grant_role(
        actor=yard.alice,
        org_id=yard.org,
        person_id=world.bob.id,
        role=Role.COLLABORATOR,
        scope=Scope.WORKSPACE,
        scope_id=yard.workspace.id,
    )
    mine = yard.issue(actor=world.bob.as_actor())
    browser, slug = signed_in(world.bob), yard.organization.slug
    at, workspace = f"/o/{slug}/links/{mine.link.id}", f"/o/{slug}/workspaces/{yard.workspace.id}"
    assert f"{at}/rotate" in browser.get(at).text
    assert "Issue a link" in browser.get(workspace).text
    answer = signed_in(world.alice).post(
        f"/o/{slug}/links/policy",
        {
            "longest": "3600",
            "issuers": "admins",
            "surfaces": "web",
            "wakes": "5",
            "hours": "1",
            "workspace_wakes": "9",
            "workspace_hours": "2",
        },
    )
    assert answer.status_code == 303
    page = browser.get(at).text
    assert f"{at}/rotate" not in page
    assert f"{at}/extend" not in page
    assert "admins and owners alone issue links" in page
    assert f"{at}/revoke" in page
    assert "Issue a link" not in browser.get(workspace).text
    for act in ("rotate", "extend"):
        assert browser.post(f"{at}/{act}", {"lifetime": "7200"}).status_code == 403
    assert "together wake it 9 times in 24 hours, for 2 h" in browser.get(f"/o/{slug}/links/policy").text


def test_g5_what_all_links_of_a_workspace_may_spend_is_shown_beside_what_is_spent(
    yard: Yard, world: World
) -> None:
    """G5: in 24 hours; what the policy's form shows rounded, it leaves as it is."""
    browser, slug = signed_in(world.alice), yard.organization.slug
    set_link_policy(actor=yard.alice, org_id=yard.org, awake_budget_s=5400)
    form = {
        "longest": "86400",
        "issuers": "workspace",
        "surfaces": "web",
        "wakes": "3",
        "hours": "1",
        "workspace_wakes": "7",
        "workspace_hours": "5",
    }
    where = f"/o/{slug}/links/policy"
    assert signed_in(world.bob).post(where, form).status_code == 403
    assert signed_in(world.mallory).post(where, form).status_code == 404
    page = browser.post(where, {**form, "workspace_hours": "25"})
    assert page.status_code == 422
    assert "Choose from 0" in page.text
    assert browser.post(where, form).status_code == 303
    seen = browser.get(f"/api/v1/orgs/{slug}/link-policy").json()
    assert (seen["workspace_wakes"], seen["workspace_awake_s"]) == (7, 5 * 3600)
    assert seen["awake_budget_s"] == 5400
    page = browser.get(f"/o/{slug}/workspaces/{yard.workspace.id}")
    assert "links woke it 0 of 7 times" in page.text
