"""Programs at the API: a service account's token opens what its role and its scopes allow, and nothing else (I3, N2)."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.test import Client

from audit.models import Event
from envforge import tenancy
from orgs import operations
from orgs.models import ServiceAccount, Token
from orgs.roles import Role
from tests.product.world import World


def token(world: World, *scopes: str, role: Role = Role.ADMIN) -> tuple[ServiceAccount, Token, str]:
    alice, acme = world.alice, world.acme
    account = operations.create_service_account(
        actor=alice.as_actor(), org_id=acme.id, creator=alice, name="ci", role=role
    )
    issued, value = operations.issue_token(
        actor=alice.as_actor(),
        org_id=acme.id,
        issuer=alice,
        account_id=account.id,
        name="t",
        scopes=frozenset(scopes),
        lifetime=timedelta(days=1),
    )
    return account, issued, value.reveal_text()


def get(address: str, held: str) -> tuple[int, dict[str, object]]:
    answer = Client(headers={"host": settings.CONSOLE_HOST, "authorization": f"Bearer {held}"}).get(address)
    return answer.status_code, answer.json()


def test_it_reads_what_role_and_scope_allow(world: World) -> None:
    _, _, held = token(world, "organization.view", "audit.read")
    assert get("/api/v1/orgs", held) == (
        200,
        {"organizations": [{"slug": world.acme.slug, "name": "Acme"}]},
    )
    status, page = get(f"/api/v1/orgs/{world.acme.slug}/events", held)
    assert status == 200
    assert page["events"]


def test_n2_a_scope_that_is_missing_is_named_and_recorded(world: World) -> None:
    account, _, held = token(world, "organization.view")
    status, problem = get(f"/api/v1/orgs/{world.acme.slug}/events", held)
    assert (status, problem["rule"]) == (403, "token-scope")
    with tenancy.enter(world.acme.id):
        assert Event.objects.get(kind="access.denied").actor_id == str(account.id)


def test_n2_a_scope_does_not_widen_the_role(world: World) -> None:
    _, _, held = token(world, "audit.read", role=Role.VIEWER)
    status, problem = get(f"/api/v1/orgs/{world.acme.slug}/events", held)
    assert (status, problem["rule"]) == (403, "role")


def test_i5_another_organization_is_not_there(world: World) -> None:
    _, _, held = token(world, "organization.view", "audit.read")
    assert get(f"/api/v1/orgs/{world.mallet.slug}/events", held)[0] == 404
    assert get("/api/v1/orgs/no-such-organization/events", held)[0] == 404


@pytest.mark.parametrize("end", ["revoked", "expired", "account removed", "issuer removed", "altered"])
def test_a_token_that_is_over_is_refused(world: World, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    account, issued, held = token(world, "organization.view")
    org_id, alice = world.acme.id, world.alice
    match end:
        case "revoked":
            operations.revoke_token(actor=alice.as_actor(), org_id=org_id, token_id=issued.id)
        case "expired":
            monkeypatch.setattr("orgs.tokens.timezone.now", lambda: issued.expires_at)
        case "account removed":
            operations.remove_service_account(actor=alice.as_actor(), org_id=org_id, account_id=account.id)
        case "issuer removed":
            adam = world.adam
            operations.grant_role(actor=alice.as_actor(), org_id=org_id, person_id=adam.id, role=Role.OWNER)
            operations.remove_member(actor=adam.as_actor(), org_id=org_id, person_id=alice.id)
        case "altered":
            held = held[:-1] + ("A" if held[-1] != "A" else "B")
    status, problem = get("/api/v1/orgs", held)
    assert status == 401
    assert held not in str(problem)
