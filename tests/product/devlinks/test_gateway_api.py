"""What gateways ask: identities, opening, resolving; each refusal has its word (L3-L5, L7, L9, G4, G5)."""

import secrets
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings

from devlinks.models import DevCode, Gateway
from devlinks.operations import links
from devlinks.purges import revision_now
from envforge import tenancy
from envforge_protocol.gateway.base import digest
from tests.product.devlinks.yard import ADDRESS, Visit, Yard, token_of
from tests.product.devlinks.yard import Gateway as Program
from tests.product.hosts.conftest import Clock
from workspaces.models import Workspace
from workspaces.operations.workspaces import archive_workspace

PATHS = (
    *("renew", "leave", "open", "redeem", "end", "resolve", "wake", "shells", "activity", "acknowledgements"),
)


def test_g5_each_process_registers_with_the_deployments_credential_and_gets_its_own(address: str) -> None:
    one, two = Program(address).register(), Program(address).register()
    assert one.id != two.id
    assert one.token != two.token
    assert one.registered["grace"]["heartbeat_every_ms"] == settings.GATEWAY_GRACE_MS[0]
    assert one.registered["sign_in_url"] == f"{settings.CONSOLE_URL}/dev/enter"
    stored = Gateway.objects.get(id=one.id)
    assert stored.leased_until is None


@pytest.mark.parametrize("credential", ["none", "wrong" * 10, "envf_gateway_x"])
def test_g5_without_the_credential_nobody_is_let_in(address: str, credential: str) -> None:
    request = {"instance": str(uuid4()), "name": "g", "version": "1"}
    answer = Program(address).raw("POST", "register", request, token=credential)
    assert answer.status_code == 403
    assert answer.json()["word"] == "credential"


@pytest.mark.parametrize("path", PATHS)
def test_g5_nothing_is_answered_without_a_gateways_token(address: str, gateway: Program, path: str) -> None:
    for token in ("none", "envf_gateway_" + "x" * 43, settings.GATEWAY_CREDENTIALS[0]):
        answer = gateway.raw("POST", path, {}, token=token)
        assert answer.status_code == 401
        assert answer.json()["word"] == "token"


def test_g5_a_token_ends_by_time_and_with_leaving(gateway: Program, clock: Clock) -> None:
    renewed = gateway.raw("POST", "renew")
    assert renewed.status_code == 200
    assert gateway.raw("POST", "leave").status_code == 204
    for token in (gateway.token, renewed.json()["token"]):
        assert gateway.raw("POST", "renew", token=token).status_code == 401
    other = Program(gateway.address).register()
    clock.pass_(minutes=11)
    assert other.raw("POST", "renew").status_code == 401


def test_messages_are_strict(gateway: Program) -> None:
    assert gateway.raw("POST", "resolve", {"session": "x", "host": "y"}).status_code == 422
    assert gateway.raw("GET", "resolve").status_code == 405
    assert gateway.raw("POST", "nothing", {}).status_code == 404
    assert gateway.raw("GET", "events?after=x").status_code == 400
    assert gateway.raw("POST", "renew", headers={"EnvForge-Protocol": "99"}).status_code == 426


def test_another_host_has_no_such_addresses(gateway: Program) -> None:
    answer = gateway.raw("POST", "renew", headers={"host": "admin.localhost"})
    assert answer.status_code != 200


def test_l3_the_whole_way_of_a_link(yard: Yard, gateway: Program) -> None:
    issued = yard.issue(surfaces=["web", "api"])
    visit = gateway.enter(issued)
    epoch = yard.awake()
    decision = visit.resolve()["decision"]
    assert decision["link_id"] == str(issued.link.id)
    assert decision["person_id"] is None
    assert sorted(decision["surfaces"]) == ["api", "web"]
    assert decision["routes"]["forward"] == [{"prefix": "/api", "service": "backend"}]
    assert decision["runtime"]["epoch"] == epoch
    assert {(one["service"], one["address"], one["port"]) for one in decision["runtime"]["ingress"]} == {
        ("web", ADDRESS, 20001),
        ("backend", ADDRESS, 20002),
    }
    assert decision["workspace"] == "main"
    session = yard.session(visit.session_id)
    assert session.digest == digest(visit.value)
    assert session.expires_at == yard.link(issued.link).expires_at


def test_l5_a_console_is_never_among_what_is_reached(yard: Yard, gateway: Program) -> None:
    visit = gateway.enter(yard.issue())
    yard.awake()
    reached = {one["service"] for one in visit.resolve()["decision"]["runtime"]["ingress"]}
    assert "tool" not in reached
    other = gateway.enter(yard.issue(service="backend"))
    assert {one["service"] for one in other.resolve()["decision"]["runtime"]["ingress"]} == {"backend"}


def test_l9_the_first_use_is_told_once(yard: Yard, gateway: Program) -> None:
    issued = yard.issue()
    for _ in range(3):
        gateway.enter(issued)
    assert len(yard.events("dev_link.first_used")) == 1
    assert yard.link(issued.link).first_used_at is not None


def refusals() -> dict[str, Any]:
    def revoked(yard: Yard, issued: Any, clock: Clock) -> str:
        links.revoke_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
        return "revoked"

    def rotated(yard: Yard, issued: Any, clock: Clock) -> str:
        links.rotate_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
        return "rotated"

    def expired(yard: Yard, issued: Any, clock: Clock) -> str:
        clock.pass_(hours=3)
        return "expired"

    def private(yard: Yard, issued: Any, clock: Clock) -> str:
        with tenancy.enter(yard.org):
            Workspace.objects.filter(id=yard.workspace.id).update(public=False)
        return "tailscale_only"

    def archived(yard: Yard, issued: Any, clock: Clock) -> str:
        archive_workspace(actor=yard.alice, org_id=yard.org, workspace_id=yard.workspace.id)
        return "gone"

    return {one.__name__: one for one in (revoked, rotated, expired, private, archived)}


@pytest.mark.parametrize("how", refusals())
def test_l3_l7_whatever_ends_a_link_is_asked_at_every_step(
    yard: Yard, gateway: Program, clock: Clock, how: str
) -> None:
    issued = yard.issue()
    visit, opened = gateway.enter(issued), gateway.open(token_of(issued))
    word = refusals()[how](yard, issued, clock)
    if how == "expired":
        gateway = gateway.register()
        visit.gateway = gateway
    assert gateway.open(token_of(issued))["refused"]["word"] == word
    redeemed = gateway.redeem(opened)["refused"]["word"]
    assert redeemed in {word, "code"}
    assert visit.word() == word
    assert visit.wake()["state"] == "refused"
    assert visit.wake()["word"] == word
    assert "dev_link.denied" in {event.kind for event in yard.events("dev_link.denied")}


def test_l9_a_flood_of_refusals_is_one_event_per_cause(yard: Yard, gateway: Program) -> None:
    issued = yard.issue()
    visit = gateway.enter(issued)
    links.revoke_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
    for _ in range(20):
        visit.resolve()
        gateway.open(token_of(issued))
    assert [event.facts["reason"] for event in yard.events("dev_link.denied")] == ["revoked"]


def test_l3_tampered_and_foreign_tokens_open_nothing(yard: Yard, gateway: Program) -> None:
    token = token_of(yard.issue())
    head, body, signature = token.split(".")
    flipped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    for wrong in (f"{head}.{body}.{flipped}", f"{head}..{signature}", "x", f"{token}.x"):
        assert gateway.open(wrong)["refused"]["word"] == "revoked"
    with tenancy.enter(yard.org):
        assert not DevCode.objects.exists()


def test_g4_a_code_is_good_once_at_one_host_for_one_browser(
    yard: Yard, strangers: Yard, gateway: Program, clock: Clock
) -> None:
    issued = yard.issue()
    opened = gateway.open(token_of(issued))
    elsewhere = gateway.open(token_of(strangers.issue()))
    assert gateway.redeem({**opened, "host": elsewhere["host"]})["refused"]["word"] == "code"
    assert gateway.redeem(opened, state="another browser")["refused"]["word"] == "state"
    assert gateway.redeem(opened)["session_id"]
    assert gateway.redeem(opened)["refused"]["word"] == "code"
    late = gateway.open(token_of(issued))
    clock.pass_(seconds=61)
    assert gateway.redeem(late)["refused"]["word"] == "code"


def test_g4_a_session_is_good_at_its_own_host_alone(yard: Yard, strangers: Yard, gateway: Program) -> None:
    mine = gateway.enter(yard.issue())
    for other in (gateway.enter(strangers.issue()), gateway.enter(yard.issue(service="backend"))):
        assert mine.word(other.host) == "no_session"
        assert other.word(mine.host) == "no_session"
    for wrong in (settings.DEV_DOMAIN, "web--main--acme.elsewhere.test", mine.host + ".test"):
        assert mine.word(wrong) == "no_session"
    assert Visit(gateway, secrets.token_urlsafe(32), mine.host, mine.session_id).word() == "no_session"


def test_a_browser_may_leave(yard: Yard, gateway: Program) -> None:
    visit = gateway.enter(yard.issue())
    body = {"session": digest(visit.value), "host": visit.host}
    for _ in range(2):
        assert gateway.raw("POST", "end", body).status_code == 204
    assert visit.word() == "signed_out"


def test_l4_rotating_puts_out_whoever_is_in(yard: Yard, gateway: Program) -> None:
    issued = yard.issue()
    visit = gateway.enter(issued)
    again = links.rotate_dev_link(actor=yard.alice, org_id=yard.org, link_id=issued.link.id)
    assert visit.word() == "rotated"
    assert gateway.enter(again).word() == ""


def test_g2_a_revision_that_there_has_not_been_is_not_acknowledged(yard: Yard, gateway: Program) -> None:
    """G2: a gateway cannot pass for one that has applied purges which are still to come."""
    told: dict[str, Any] = {"gateway_id": str(gateway.id), "revision": revision_now() + 1}
    answer = gateway.raw("POST", "acknowledgements", told)
    assert answer.status_code == 422
    assert "no such revision yet" in answer.text
    assert Gateway.objects.get(id=gateway.id).acknowledged < told["revision"]
    told["revision"] = revision_now()
    assert gateway.raw("POST", "acknowledgements", told).status_code == 204
    assert Gateway.objects.get(id=gateway.id).acknowledged == told["revision"]
