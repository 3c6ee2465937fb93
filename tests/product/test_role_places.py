"""Roles in projects and workspaces: given where an app above has registered such places, by whoever may there (I2, I5, N2)."""

from uuid import uuid4

import pytest

from audit.models import Event
from envforge import tenancy
from envforge.errors import NotAllowed, NotVisible
from orgs import operations
from orgs.models import Person, RoleGrant
from orgs.places import Place
from orgs.roles import Role, Scope
from tests.product.places import places
from tests.product.visitors import signed_in
from tests.product.world import World


def give(world: World, by: Person, person: Person, role: Role, place: Place) -> None:
    operations.grant_role(
        actor=by.as_actor(),
        org_id=world.acme.id,
        person_id=person.id,
        role=role,
        scope=place.scope,
        scope_id=place.id,
    )


def test_a_maintainer_gives_roles_in_the_project_and_its_workspaces_and_nowhere_else(world: World) -> None:
    with places(Scope.PROJECT) as projects, places(Scope.WORKSPACE) as workspaces:
        shop, other = (projects.make(world.acme.id, name) for name in ("Shop", "Other"))
        inside = workspaces.make(world.acme.id, "feature", shop.id)
        outside = workspaces.make(world.acme.id, "main", other.id)
        give(world, world.alice, world.vera, Role.MAINTAINER, shop)
        give(world, world.vera, world.bob, Role.CONTRIBUTOR, shop)
        give(world, world.vera, world.bob, Role.OPERATOR, inside)
        for role, place in ((Role.CONTRIBUTOR, other), (Role.OPERATOR, outside)):
            with pytest.raises(NotAllowed):
                give(world, world.vera, world.bob, role, place)
        with pytest.raises(NotAllowed):
            operations.grant_role(
                actor=world.vera.as_actor(), org_id=world.acme.id, person_id=world.bob.id, role=Role.VIEWER
            )


def test_i5_a_place_that_is_not_there_or_anothers_takes_no_role(world: World) -> None:
    with pytest.raises(NotVisible):
        give(world, world.alice, world.bob, Role.READER, Place(Scope.PROJECT, uuid4(), "none registered"))
    with places(Scope.PROJECT) as projects:
        theirs = projects.make(world.mallet.id, "Theirs")
        for place in (theirs, Place(Scope.PROJECT, uuid4(), "gone")):
            with pytest.raises(NotVisible):
                give(world, world.alice, world.bob, Role.READER, place)
        shop = projects.make(world.acme.id, "Shop")
        give(world, world.alice, world.bob, Role.READER, shop)
    # The app, or the project, is gone: what was given there can be taken all the same.
    operations.revoke_role(
        actor=world.alice.as_actor(),
        org_id=world.acme.id,
        person_id=world.bob.id,
        role=Role.READER,
        scope=Scope.PROJECT,
        scope_id=shop.id,
    )
    with tenancy.enter(world.acme.id):
        assert not RoleGrant.objects.filter(scope=Scope.PROJECT).exists()


def test_the_members_page_offers_what_its_reader_may_give_there(world: World) -> None:
    page = f"/o/{world.acme.slug}/members/{world.bob.id}"
    alice, vera = signed_in(world.alice), signed_in(world.vera)
    assert "Role there" not in alice.get(page).text, "no source, no word of it"
    with places(Scope.PROJECT) as projects:
        shop, other = (projects.make(world.acme.id, name) for name in ("Shop", "Other"))
        assert "Role there" not in vera.get(page).text
        text = alice.get(page).text
        assert f'<option value="{shop.id}">Shop</option>' in text
        assert text.count("maintainer: ") == 1
        sent = {"scope": "project", "scope_id": str(shop.id), "role": "maintainer"}
        assert vera.post(page + "/roles/give", sent).status_code == 403
        assert alice.post(page + "/roles/give", sent).status_code == 303
        assert "in the project Shop" in alice.get(page).text
        of_vera = f"/o/{world.acme.slug}/members/{world.vera.id}"
        offered = signed_in(world.bob).get(of_vera).text
        assert f'value="{shop.id}"' in offered
        assert f'value="{other.id}"' not in offered
        assert (
            signed_in(world.bob).post(of_vera + "/roles/give", sent | {"role": "reader"}).status_code == 303
        )
        assert alice.post(page + "/roles/give", sent | {"scope_id": "shop"}).status_code == 422
        assert alice.post(page + "/roles/take", sent).status_code == 303
    with tenancy.enter(world.acme.id):
        denied = Event.objects.get(kind="access.denied")
    assert (denied.target_kind, denied.target_label) == ("project", "Shop")
