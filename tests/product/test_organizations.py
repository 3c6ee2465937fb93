"""Organizations and members: who may write what, and what it leaves behind (I2, I5, N2)."""

import pytest

from audit.models import Event
from envforge import tenancy
from envforge.errors import Conflict, Invalid, NotAllowed, NotVisible
from orgs import operations, selectors
from orgs.models import Organization, RoleGrant
from orgs.roles import Role
from tests.product.world import World


@pytest.mark.parametrize(
    "slug", ["", "a", "Acme", "acme_1", "-acme", "acme-", "ac--me", "a" * 41, "acme.dev", "ümlaut", "acme\n"]
)
def test_a_slug_that_cannot_stand_in_a_host_is_refused(slug: str, world: World) -> None:
    with pytest.raises(Invalid) as refused:
        operations.create_organization(
            actor=world.alice.as_actor(), slug=slug, name="Acme", owner=world.alice
        )
    assert "slug" in refused.value.fields


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "two\x00words", "bell\x07"])
def test_a_name_that_cannot_be_shown_is_refused(name: str, world: World) -> None:
    with pytest.raises(Invalid) as refused:
        operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name=name)
    assert "name" in refused.value.fields


def test_a_taken_slug_is_a_conflict_and_leaves_nothing(world: World) -> None:
    with pytest.raises(Conflict, match="is taken"):
        operations.create_organization(
            actor=world.mallory.as_actor(), slug=world.acme.slug, name="Mine", owner=world.mallory
        )
    with tenancy.enter(world.acme.id):
        assert Organization.objects.get().name == "Acme"


def test_the_same_name_again_records_nothing(world: World) -> None:
    for _ in range(2):
        operations.rename_organization(
            actor=world.alice.as_actor(), org_id=world.acme.id, name="  Acme   Works "
        )
    with tenancy.enter(world.acme.id):
        assert Organization.objects.get().name == "Acme Works"
        assert Event.objects.filter(kind="organization.renamed").count() == 1


def test_a_stranger_sees_no_difference_between_hidden_and_missing(world: World) -> None:
    for slug in (world.acme.slug, "no-such-organization"):
        with pytest.raises(NotVisible):
            selectors.organization(actor=world.mallory.as_actor(), slug=slug)
    with pytest.raises(NotVisible):
        operations.add_member(
            actor=world.mallory.as_actor(), org_id=world.acme.id, person=world.mallory, role=Role.OWNER
        )


@pytest.mark.parametrize(
    ("giver", "role", "given"),
    [("alice", Role.OWNER, True), ("adam", Role.OWNER, False), ("adam", Role.ADMIN, True)],
)
def test_n2_nobody_grants_a_role_above_their_own(world: World, giver: str, role: Role, given: bool) -> None:
    actor = getattr(world, giver).as_actor()
    if given:
        operations.add_member(actor=actor, org_id=world.acme.id, person=world.bob, role=role)
    else:
        with pytest.raises(NotAllowed) as refused:
            operations.add_member(actor=actor, org_id=world.acme.id, person=world.bob, role=role)
        assert refused.value.denial.rule == "role-above-own"
    with tenancy.enter(world.acme.id):
        assert RoleGrant.objects.filter(membership__person=world.bob, role=role).exists() is given


def test_members_are_listed_with_their_roles(world: World) -> None:
    operations.add_member(
        actor=world.alice.as_actor(), org_id=world.acme.id, person=world.bob, role=Role.BILLING
    )
    listed = selectors.members(actor=world.bob.as_actor(), slug=world.acme.slug).members
    assert [(member.name, member.roles) for member in listed] == [
        ("Alice", ("owner",)),
        ("Bob", ("billing", "developer")),
    ]
