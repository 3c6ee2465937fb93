"""Members come to dev hosts by their own sign-in, under the same policy, and no longer than it lasts (L8, I4)."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from devlinks.labels import host_name
from devlinks.models import DevSession
from devlinks.purges import revision_now
from envforge import tenancy
from envforge_protocol.gateway.base import digest
from orgs import operations, sessions
from orgs.models import ConsoleSession, Person
from orgs.roles import Role, Scope
from tests.product.devlinks.yard import Gateway, Visit, Yard
from tests.product.hosts.conftest import Clock
from tests.product.visitors import anonymous, signed_in
from tests.product.world import World
from workspaces.models import Workspace


def entered(browser: Client, host: str, state: str = "state", following: str = "/") -> Any:
    return browser.get("/dev/enter?" + urlencode({"host": host, "state": digest(state), "next": following}))


def code_in(page: Any) -> str:
    found = re.search(r'name="code" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def come_in(yard: Yard, gateway: Gateway, person: Person) -> tuple[Client, Visit]:
    host = host_name(yard.issue().link.host.label)
    browser = signed_in(person)
    redeemed = gateway.redeem({"code": code_in(entered(browser, host)), "host": host})
    return browser, Visit(gateway, gateway.value, host, redeemed["session_id"])


def test_l8_a_member_comes_in_by_a_one_time_code_for_their_browser(
    yard: Yard, gateway: Gateway, world: World
) -> None:
    host = host_name(yard.issue().link.host.label)
    page = entered(signed_in(world.vera), host, following="/calendar?week=2")
    assert page.status_code == 200
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    policy = page.headers["Content-Security-Policy"]
    assert re.search(rf"form-action http://{re.escape(host)}(:\d+)?(;|$)", policy), policy
    assert 'value="/calendar?week=2"' in page.text
    opened = {"code": code_in(page), "host": host}
    assert gateway.redeem(opened, state="another browser")["refused"]["word"] == "state"
    assert gateway.redeem(opened)["session_id"]
    assert gateway.redeem(opened)["refused"]["word"] == "code"
    [event] = yard.events("dev_url.opened")
    assert (event.actor_label, event.facts["service"]) == ("Vera", "web")


@pytest.mark.parametrize("following", ["//evil.test/", "https://evil.test/", "/\\evil.test", "javascript:1"])
def test_l8_nobody_is_led_elsewhere_afterwards(yard: Yard, world: World, following: str) -> None:
    host = host_name(yard.issue().link.host.label)
    assert 'name="next" value="/"' in entered(signed_in(world.vera), host, following=following).text


def test_l8_strangers_and_who_has_no_role_get_nothing(yard: Yard, world: World) -> None:
    assert world.mallet
    host = host_name(yard.issue().link.host.label)
    for person in (world.mallory, world.bill):
        assert entered(signed_in(person), host).status_code == 404
    assert entered(anonymous(), host).status_code == 303
    assert entered(signed_in(world.vera), f"nothing.{settings.DEV_DOMAIN}").status_code == 404
    assert entered(signed_in(world.vera), "console.test").status_code == 404
    assert (
        signed_in(world.vera).get("/dev/enter?" + urlencode({"host": host, "state": "x"})).status_code == 422
    )


def test_l8_a_members_session_reaches_what_a_reviewers_does(
    yard: Yard, gateway: Gateway, world: World
) -> None:
    _, visit = come_in(yard, gateway, world.vera)
    yard.awake()
    decision = visit.resolve()["decision"]
    assert (decision["link_id"], decision["person_id"]) == (None, str(world.vera.id))
    assert {one["service"] for one in decision["runtime"]["ingress"]} == {"web", "backend"}


def ends() -> dict[str, Any]:
    def sign_out(yard: Yard, person: Person, browser: Client) -> str:
        browser.post("/auth/sign-out")
        return "signed_out"

    def ended_elsewhere(yard: Yard, person: Person, browser: Client) -> str:
        other = ConsoleSession.objects.filter(person=person, ended_at=None).get()
        sessions.end_session(actor=person.as_actor(), session_id=other.id, cause="ended_elsewhere")
        return "signed_out"

    def suspended(yard: Yard, person: Person, browser: Client) -> str:
        operations.suspend_member(actor=yard.alice, org_id=yard.org, person_id=person.id)
        return "suspended"

    def removed(yard: Yard, person: Person, browser: Client) -> str:
        operations.remove_member(actor=yard.alice, org_id=yard.org, person_id=person.id)
        return "not_allowed"

    def role_lost(yard: Yard, person: Person, browser: Client) -> str:
        operations.grant_role(actor=yard.alice, org_id=yard.org, person_id=person.id, role=Role.BILLING)
        operations.revoke_role(actor=yard.alice, org_id=yard.org, person_id=person.id, role=Role.VIEWER)
        return "not_allowed"

    def private(yard: Yard, person: Person, browser: Client) -> str:
        with tenancy.enter(yard.org):
            Workspace.objects.filter(id=yard.workspace.id).update(public=False)
        return "tailscale_only"

    return {one.__name__: one for one in (sign_out, ended_elsewhere, suspended, removed, role_lost, private)}


@pytest.mark.parametrize("how", ends())
def test_l8_i4_whatever_ends_the_sign_in_or_the_role_ends_it_there_too(
    yard: Yard, gateway: Gateway, world: World, how: str
) -> None:
    from devlinks.models import Purge

    browser, visit = come_in(yard, gateway, world.vera)
    assert visit.word() == ""
    before = revision_now()
    word = ends()[how](yard, world.vera, browser)
    assert visit.word() == word
    assert visit.wake()["state"] == "refused"
    if how != "private":
        keys = set(Purge.objects.filter(revision__gt=before, cut=True).values_list("key_id", flat=True))
        assert keys & {yard.session(visit.session_id).id, world.vera.id}


def test_l8_a_session_never_outlives_its_sign_in(
    yard: Yard, gateway: Gateway, world: World, clock: Clock
) -> None:
    _, visit = come_in(yard, gateway, world.vera)
    sign_in = ConsoleSession.objects.filter(person=world.vera).get()
    assert yard.session(visit.session_id).expires_at == sign_in.created_at + ConsoleSession.LIFETIME
    clock.pass_(hours=3)
    visit.gateway = gateway.register()
    assert visit.word() == "signed_out"


def test_i4_the_receipt_of_a_removal_counts_dev_sessions(yard: Yard, gateway: Gateway, world: World) -> None:
    come_in(yard, gateway, world.vera)
    operations.remove_member(actor=yard.alice, org_id=yard.org, person_id=world.vera.id)
    [event] = yard.events("member.removed")
    assert event.facts["dev_sessions"] == 1


def test_l8_a_role_in_the_workspace_alone_is_enough_and_its_loss_ends_it(
    yard: Yard, gateway: Gateway, world: World
) -> None:
    assert world.bill
    operations.grant_role(
        actor=yard.alice,
        org_id=yard.org,
        person_id=world.bill.id,
        role=Role.OBSERVER,
        scope=Scope.WORKSPACE,
        scope_id=yard.workspace.id,
    )
    _, visit = come_in(yard, gateway, world.bill)
    assert visit.word() == ""
    operations.revoke_role(
        actor=yard.alice,
        org_id=yard.org,
        person_id=world.bill.id,
        role=Role.OBSERVER,
        scope=Scope.WORKSPACE,
        scope_id=yard.workspace.id,
    )
    assert visit.word() == "not_allowed"
    with tenancy.enter(yard.org):
        assert DevSession.objects.filter(id=visit.session_id, ended_at__lte=timezone.now()).exists()
