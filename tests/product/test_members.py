"""Members: invitations, roles, suspension, leaving, offboarding with its receipt (I4, N2)."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.models import Event
from envforge import tenancy
from envforge.errors import Conflict, EnvForgeError, Invalid, NotAllowed, NotVisible
from notices.models import Email
from orgs import operations, policy, reconcile, sessions
from orgs.identity import Identity
from orgs.links import invitation_in, invitation_link
from orgs.models import ConsoleSession, Invitation, Membership, Person, RoleGrant, ServiceAccount, Token
from orgs.policy import Action
from orgs.roles import IN_ORGANIZATION, MAY_GRANT, Role
from tests.product.world import World


def kinds(world: World) -> list[str]:
    with tenancy.enter(world.acme.id):
        return list(Event.objects.order_by("at", "id").values_list("kind", flat=True))


def roles(world: World, person: Person) -> set[str]:
    with tenancy.enter(world.acme.id):
        return set(RoleGrant.objects.filter(membership__person=person).values_list("role", flat=True))


def invite(world: World, person: Person, role: Role = Role.DEVELOPER) -> Invitation:
    return operations.invite_member(
        actor=world.alice.as_actor(), org_id=world.acme.id, inviter=world.alice, email=person.email, role=role
    )


def accept(invitation: Invitation, person: Person) -> None:
    operations.accept_invitation(actor=person.as_actor(), invitation_id=invitation.id, person=person)


def test_an_invitation_is_accepted_once(world: World) -> None:
    nora = world.person("Nora")
    invitation = invite(world, nora)
    accept(invitation, nora)
    assert roles(world, nora) == {"developer"}
    with pytest.raises(Conflict, match="used already"):
        accept(invitation, nora)
    assert kinds(world)[-2:] == ["member.invited", "member.joined"]


def test_n2_it_is_bound_to_the_verified_address(world: World) -> None:
    nora = world.person("Nora")
    invitation = invite(world, nora)
    with pytest.raises(Conflict, match="another e-mail address"):
        accept(invitation, world.mallory)
    nora.email_verified = False
    with pytest.raises(Conflict, match="not verified"):
        accept(invitation, nora)


def test_it_can_be_taken_back(world: World) -> None:
    nora = world.person("Nora")
    taken = invite(world, nora)
    operations.revoke_invitation(actor=world.alice.as_actor(), org_id=world.acme.id, invitation_id=taken.id)
    with pytest.raises(Conflict, match="is over"):
        accept(taken, nora)


def test_expiry_is_told_on_time(world: World) -> None:
    late = world.person("Late")
    with tenancy.enter(world.acme.id):
        overdue = Invitation.objects.create(
            email=late.email,
            role=Role.VIEWER,
            invited_by=world.alice,
            expires_at=timezone.now() - timedelta(minutes=1),
        )
    reconcile.close_overdue()
    reconcile.close_overdue()
    assert kinds(world).count("member.invitation_expired") == 1
    with pytest.raises(Conflict, match="is over"):
        accept(overdue, late)


@pytest.mark.parametrize(
    "email", ["", "nobody", "a@b@c", "two@acme.test, three@acme.test", "x@acme.test\nBcc: y@acme.test"]
)
def test_an_unusable_address_is_refused(world: World, email: str) -> None:
    with pytest.raises(Invalid) as refused:
        operations.invite_member(
            actor=world.alice.as_actor(),
            org_id=world.acme.id,
            inviter=world.alice,
            email=email,
            role=Role.VIEWER,
        )
    assert "email" in refused.value.fields


def test_inviting_twice_or_a_member_is_a_conflict(world: World) -> None:
    invite(world, world.person("Nora"))
    with pytest.raises(Conflict, match="open already"):
        invite(world, world.person("Nora"))
    with pytest.raises(Conflict, match="a member already"):
        invite(world, world.bob)


def test_a_stranger_s_invitation_id_is_nothing(world: World) -> None:
    with pytest.raises(NotVisible):
        operations.accept_invitation(actor=world.bob.as_actor(), invitation_id=uuid4(), person=world.bob)
    invitation = invite(world, world.person("Nora"))
    assert world.mallet
    with pytest.raises(NotVisible):
        operations.revoke_invitation(
            actor=world.mallory.as_actor(), org_id=world.mallet.id, invitation_id=invitation.id
        )


def test_the_last_owner_stays(world: World) -> None:
    alice, acme = world.alice, world.acme
    attempts: list[Callable[[], Any]] = [
        lambda: operations.revoke_role(
            actor=alice.as_actor(), org_id=acme.id, person_id=alice.id, role=Role.OWNER
        ),
        lambda: operations.remove_member(actor=alice.as_actor(), org_id=acme.id, person_id=alice.id),
        lambda: operations.suspend_member(actor=alice.as_actor(), org_id=acme.id, person_id=alice.id),
    ]
    operations.grant_role(actor=alice.as_actor(), org_id=acme.id, person_id=alice.id, role=Role.VIEWER)
    for attempt in attempts:
        with pytest.raises(Conflict, match="without an owner"):
            attempt()
    assert roles(world, alice) == {"owner", "viewer"}


def test_an_admin_is_not_over_an_owner(world: World) -> None:
    for operation in (operations.remove_member, operations.suspend_member):
        with pytest.raises(NotAllowed) as refused:
            operation(actor=world.adam.as_actor(), org_id=world.acme.id, person_id=world.alice.id)
        assert refused.value.denial.rule == "role-above-own"


def test_i4_removing_closes_everything_with_one_receipt(world: World) -> None:
    bob, acme, alice = world.bob, world.acme, world.alice
    sessions.start_session(
        identity=Identity(
            issuer=bob.issuer, subject=bob.subject, email=bob.email, email_verified=True, name=bob.name
        ),
        browser="Firefox",
    )
    operations.grant_role(actor=alice.as_actor(), org_id=acme.id, person_id=bob.id, role=Role.ADMIN)
    ci = operations.create_service_account(
        actor=bob.as_actor(), org_id=acme.id, creator=bob, name="ci", role=Role.DEVELOPER
    )
    agent = operations.create_service_account(
        actor=alice.as_actor(),
        org_id=acme.id,
        creator=alice,
        name="agent",
        role=Role.DEVELOPER,
        acts_for=bob.id,
    )
    for account, issuer in ((ci, bob), (agent, alice)):
        operations.issue_token(
            actor=issuer.as_actor(),
            org_id=acme.id,
            issuer=issuer,
            account_id=account.id,
            name="t",
            scopes=frozenset({"usage.view"}),
            lifetime=timedelta(days=1),
        )
    receipt = operations.remove_member(actor=alice.as_actor(), org_id=acme.id, person_id=bob.id)
    assert (receipt.closed["sessions"], receipt.closed["tokens"]) == (1, 2)
    with tenancy.enter(acme.id):
        assert not Membership.objects.filter(person=bob).exists()
        assert not Token.objects.filter(ended_at=None).exists()
        assert ServiceAccount.objects.get(name="agent").removed_at is not None
        event = Event.objects.get(kind="member.removed")
        assert event.facts["tokens"] == 2
    assert not ConsoleSession.objects.filter(person=bob, ended_at=None).exists()
    with tenancy.enter(acme.id), pytest.raises(NotVisible):
        policy.require(bob.as_actor(), Action.ORGANIZATION_VIEW, acme)


def test_suspension_closes_and_deletes_nothing(world: World) -> None:
    bob, acme, alice = world.bob, world.acme, world.alice
    operations.suspend_member(actor=alice.as_actor(), org_id=acme.id, person_id=bob.id)
    operations.suspend_member(actor=alice.as_actor(), org_id=acme.id, person_id=bob.id)
    assert roles(world, bob) == {"developer"}
    with tenancy.enter(acme.id), pytest.raises(NotVisible):
        policy.require(bob.as_actor(), Action.ORGANIZATION_VIEW, acme)
    operations.restore_member(actor=alice.as_actor(), org_id=acme.id, person_id=bob.id)
    with tenancy.enter(acme.id):
        policy.require(bob.as_actor(), Action.ORGANIZATION_VIEW, acme)
    assert kinds(world)[-2:] == ["member.suspended", "member.restored"]


def test_anybody_may_leave(world: World) -> None:
    vera = world.vera
    operations.remove_member(actor=vera.as_actor(), org_id=world.acme.id, person_id=vera.id)
    assert roles(world, vera) == set()


def test_roles_belong_to_their_scope(world: World) -> None:
    with pytest.raises(Invalid, match="not held there"):
        operations.grant_role(
            actor=world.alice.as_actor(), org_id=world.acme.id, person_id=world.bob.id, role=Role.MAINTAINER
        )


CAST = ("alice", "adam", "bob", "vera")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["grant", "revoke", "suspend", "restore", "remove", "invite", "accept"]),
        st.sampled_from(CAST),
        st.sampled_from(CAST),
        st.sampled_from(sorted(IN_ORGANIZATION)),
    ),
    max_size=14,
)


@settings(max_examples=30, deadline=None)
@given(steps=STEPS)
def test_n2_random_sequences_keep_an_owner_and_give_nobody_more_than_the_giver_had(
    steps: list[tuple[str, str, str, str]],
) -> None:
    world = World()
    people = {name: getattr(world, name) for name in CAST}
    open_ones: list[tuple[str, str, Invitation]] = []
    for step, by, whom, role_name in steps:
        person, role = people[whom], Role(role_name)
        sent = next((one for one in open_ones if one[1] == whom), None) if step == "accept" else None
        giver = sent[0] if sent else by
        before = {name: roles(world, one) for name, one in people.items()}
        reach = reach_of(world, people[giver])
        with suppress(EnvForgeError):
            if sent:
                accept(sent[2], person)
            else:
                made = _attempt(step, people[by].as_actor(), world, people[by], person, role)
                if isinstance(made, Invitation):
                    open_ones.append((by, whom, made))
        after = {name: roles(world, one) for name, one in people.items()}
        gained = {role for name in CAST for role in after[name] - before[name]}
        assert gained <= reach, f"{step} by {giver} gave {gained}, beyond {before[giver]}"
        with tenancy.enter(world.acme.id):
            assert RoleGrant.objects.filter(role=Role.OWNER, membership__suspended_at=None).exists()


def reach_of(world: World, person: Person) -> set[str]:
    """What the person may give now, from their roles alone; who is suspended gives nothing."""
    with tenancy.enter(world.acme.id):
        if Membership.objects.filter(person=person).exclude(suspended_at=None).exists():
            return set()
    return set().union(*(MAY_GRANT.get(Role(one), frozenset()) for one in roles(world, person)))


def _attempt(step: str, actor: Any, world: World, by: Person, person: Person, role: Role) -> object:
    org_id = world.acme.id
    match step:
        case "grant":
            operations.grant_role(actor=actor, org_id=org_id, person_id=person.id, role=role)
        case "revoke":
            operations.revoke_role(actor=actor, org_id=org_id, person_id=person.id, role=role)
        case "suspend":
            operations.suspend_member(actor=actor, org_id=org_id, person_id=person.id)
        case "restore":
            operations.restore_member(actor=actor, org_id=org_id, person_id=person.id)
        case "remove":
            operations.remove_member(actor=actor, org_id=org_id, person_id=person.id)
        case "invite":
            return operations.invite_member(
                actor=actor, org_id=org_id, inviter=by, email=person.email, role=role
            )
    return None


def test_an_invitation_goes_out_by_mail_and_its_link_is_signed(world: World) -> None:
    nora = world.person("Nora")
    invitation = invite(world, nora)
    with tenancy.enter(world.acme.id):
        waiting = Email.objects.get(to_address=nora.email)
        link = invitation_link(invitation.id)
    assert waiting.kind == "invitation"
    assert link is not None
    signed = link.reveal_text().rpartition("/")[2]
    assert invitation_in(signed) == invitation.id
    assert invitation_in(signed[:-1] + ("A" if signed[-1] != "A" else "B")) is None
    accept(invitation, nora)
    with tenancy.enter(world.acme.id):
        assert invitation_link(invitation.id) is None, "what was accepted leads nowhere"
