"""What a member holds: counted before, closed at once, each with its own event, and nothing slips past (I4, N2)."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from envforge.actor import ServiceAccountActor
from envforge.errors import Conflict, NotAllowed, NotVisible
from orgs import offboarding, operations, selectors
from orgs.models import Invitation, Person, ServiceAccount, Token
from orgs.policy import Action
from orgs.roles import Role
from tests.product.visitors import signed_in
from tests.product.world import World


def account(world: World, name: str, by: Person, acts_for: Person | None = None) -> ServiceAccount:
    return operations.create_service_account(
        actor=by.as_actor(),
        org_id=world.acme.id,
        creator=by,
        name=name,
        role=Role.DEVELOPER,
        acts_for=acts_for.id if acts_for else None,
    )


def issue(world: World, of: ServiceAccount, by: Person, name: str = "t") -> Token:
    token, _ = operations.issue_token(
        actor=by.as_actor(),
        org_id=world.acme.id,
        issuer=by,
        account_id=of.id,
        name=name,
        scopes=frozenset({"usage.view"}),
        lifetime=timedelta(days=1),
    )
    return token


def invite(world: World, by: Person, name: str, role: Role = Role.VIEWER) -> tuple[Invitation, Person]:
    person = world.person(name)
    sent = operations.invite_member(
        actor=by.as_actor(), org_id=world.acme.id, inviter=by, email=person.email, role=role
    )
    return sent, person


@dataclass
class Held:
    """Adam, with something of each kind."""

    ci: ServiceAccount
    agent: ServiceAccount
    invitation: Invitation
    invited: Person


@pytest.fixture
def held(world: World) -> Held:
    signed_in(world.adam)
    ci, agent = account(world, "ci", world.alice), account(world, "agent", world.alice, world.adam)
    issue(world, ci, world.adam)
    issue(world, agent, world.alice)
    issue(world, ci, world.alice, "kept")
    return Held(ci, agent, *invite(world, world.adam, "Nora"))


def told(world: World, kind: str) -> list[tuple[str, object]]:
    with tenancy.enter(world.acme.id):
        events = Event.objects.filter(kind=kind).order_by("at", "id")
        return [(event.target_label, event.facts.get("cause")) for event in events]


@pytest.mark.parametrize("for_good", [True, False])
def test_i4_what_is_counted_before_is_what_is_closed(world: World, held: Held, for_good: bool) -> None:
    alice, adam, org = world.alice, world.adam, world.acme
    before = selectors.leaving(
        actor=alice.as_actor(), slug=org.slug, person_id=adam.id, for_good=for_good
    ).would_close
    operation = operations.remove_member if for_good else operations.suspend_member
    receipt = operation(actor=alice.as_actor(), org_id=org.id, person_id=adam.id)
    expected = dict.fromkeys(offboarding.HELD, 0) | {"sessions": 1, "tokens": 2, "invitations": 1}
    assert before == receipt.closed == expected | {"agents": int(for_good)}
    with tenancy.enter(org.id):
        event = Event.objects.get(id=str(receipt.event_id))
        assert event.facts == receipt.closed
        assert list(Token.objects.filter(ended_at=None).values_list("name", flat=True)) == ["kept"]
    cause = "member_removed" if for_good else "member_suspended"
    assert event.kind == ("member.removed" if for_good else "member.suspended")
    assert told(world, "token.revoked") == [("t", cause)] * 2
    assert told(world, "service_account.removed") == ([("agent", cause)] if for_good else [])
    assert told(world, "member.invitation_revoked") == [(held.invited.email, cause)]
    with pytest.raises(Conflict, match="is over"):
        operations.accept_invitation(
            actor=held.invited.as_actor(), invitation_id=held.invitation.id, person=held.invited
        )


def test_an_app_above_registers_both_halves(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offboarding, "_holdings", [])
    seen: list[offboarding.Closing] = []

    def close(closing: offboarding.Closing) -> int:
        seen.append(closing)
        return 3

    offboarding.on_offboarding("dev_links", count=lambda _: 3, close=close)
    offboarding.on_offboarding("dev_links", count=lambda _: 1, close=lambda _: 1)
    page = f"/o/{world.acme.slug}/members/{world.bob.id}/remove"
    alice = signed_in(world.alice)
    assert "<strong>4</strong> dev links, revoked" in alice.get(page).text
    assert seen == [], "looking closes nothing"
    assert "<strong>4</strong> dev links, revoked" in alice.get(alice.post(page)["location"]).text
    assert [(closing.person_id, closing.for_good) for closing in seen] == [(world.bob.id, True)]


def test_a_token_that_time_has_ended_is_the_sweeps_to_tell(world: World, held: Held) -> None:
    with tenancy.enter(world.acme.id):
        token = Token.objects.get(account=held.ci, name="t")
    at = token.expires_at
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orgs.holdings.timezone.now", lambda: at)
        operations.revoke_token(actor=world.alice.as_actor(), org_id=world.acme.id, token_id=token.id)
    assert told(world, "token.revoked") == []


def test_removing_an_account_tells_of_each_token(world: World, held: Held) -> None:
    ended = operations.remove_service_account(
        actor=world.alice.as_actor(), org_id=world.acme.id, account_id=held.ci.id
    )
    assert ended == 2
    assert told(world, "token.revoked") == [("t", "account_removed"), ("kept", "account_removed")]
    assert told(world, "service_account.removed") == [("ci", "removed")]


def test_n2_an_invitation_gives_no_more_than_its_sender_may_give_now(world: World) -> None:
    sent, nora = invite(world, world.adam, "Nora", Role.ADMIN)
    operations.grant_role(
        actor=world.alice.as_actor(), org_id=world.acme.id, person_id=world.adam.id, role=Role.VIEWER
    )
    operations.revoke_role(
        actor=world.alice.as_actor(), org_id=world.acme.id, person_id=world.adam.id, role=Role.ADMIN
    )
    assert selectors.invitation(person=nora, invitation_id=sent.id).state == "over"
    with pytest.raises(Conflict, match="is over"):
        operations.accept_invitation(actor=nora.as_actor(), invitation_id=sent.id, person=nora)


def test_a_suspended_member_is_not_let_in_by_an_invitation(world: World) -> None:
    bob = world.bob
    with tenancy.enter(world.acme.id):
        sent = Invitation.objects.create(
            email=bob.email,
            role=Role.ADMIN,
            invited_by=world.alice,
            expires_at=timezone.now() + timedelta(days=1),
        )
    operations.suspend_member(actor=world.alice.as_actor(), org_id=world.acme.id, person_id=bob.id)
    with pytest.raises(Conflict, match="suspended"):
        operations.accept_invitation(actor=bob.as_actor(), invitation_id=sent.id, person=bob)
    assert selectors.organizations(actor=bob.as_actor()) == []
    assert signed_in(bob).get("/").status_code == 200, "no way to what is closed to them"


def test_n2_nobody_issues_a_scope_above_their_own(world: World) -> None:
    """An admin holds no owner's scope; a program hands out no scope that its own token lacks."""
    ci = account(world, "ci", world.alice)
    admin = operations.create_service_account(
        actor=world.alice.as_actor(), org_id=world.acme.id, creator=world.alice, name="boss", role=Role.ADMIN
    )
    program = ServiceAccountActor(
        id=str(admin.id),
        label="boss",
        account_id=admin.id,
        org_id=world.acme.id,
        scopes=frozenset({Action.SERVICE_ACCOUNT_MANAGE.value, Action.USAGE_VIEW.value}),
    )

    def attempt(actor: object, scope: Action) -> None:
        operations.issue_token(
            actor=actor,  # type: ignore[arg-type]
            org_id=world.acme.id,
            issuer=world.alice,
            account_id=ci.id,
            name=f"{scope.value}",
            scopes=frozenset({scope.value}),
            lifetime=timedelta(days=1),
        )

    for actor, scope in (
        (world.adam.as_actor(), Action.ORGANIZATION_ARCHIVE),
        (world.adam.as_actor(), Action.ROOT_SET_POLICY),
        (program, Action.AUDIT_READ),
    ):
        with pytest.raises(NotAllowed) as refused:
            attempt(actor, scope)
        assert refused.value.denial.rule == "scope-above-own"
    attempt(program, Action.USAGE_VIEW)
    attempt(world.alice.as_actor(), Action.ORGANIZATION_ARCHIVE)


def test_i5_who_may_not_act_hears_the_same_of_any_id(world: World, held: Held) -> None:
    """A viewer cannot try out which ids exist."""
    vera, org_id = world.vera.as_actor(), world.acme.id
    for real in (held.ci.id, uuid4()):
        with pytest.raises(NotAllowed):
            operations.remove_service_account(actor=vera, org_id=org_id, account_id=real)
        with pytest.raises(NotAllowed):
            operations.revoke_token(actor=vera, org_id=org_id, token_id=real)
        with pytest.raises(NotAllowed):
            operations.revoke_invitation(actor=vera, org_id=org_id, invitation_id=real)
        with pytest.raises(NotVisible):
            operations.revoke_token(actor=world.mallory.as_actor(), org_id=org_id, token_id=real)
