"""Projects, workspaces and bindings as upper apps tell of them, for tests of secrets: each organization's own, and nobody else's."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from envforge import tenancy
from orgs.models import Membership, Person, RoleGrant
from orgs.roles import Role, Scope
from secrets_ref import bindings
from tests.product import places
from tests.product.world import World


class Places:
    """Registered in place of the upper apps; asked with the organization entered, as they are."""

    def __init__(self, projects: places.Places, workspaces: places.Places) -> None:
        self._projects, self._workspaces = projects, workspaces
        self.bound: dict[UUID, list[str]] = {}

    def project(self, org_id: UUID, name: str) -> UUID:
        return self._projects.make(org_id, name).id

    def workspace(self, org_id: UUID, project_id: UUID, name: str) -> UUID:
        return self._workspaces.make(org_id, name, project_id).id


@contextmanager
def some_places() -> Iterator[Places]:
    before = bindings._sources[:]
    with places.places(Scope.PROJECT) as projects, places.places(Scope.WORKSPACE) as workspaces:
        made = Places(projects, workspaces)
        bindings.tell_bindings(lambda ids: {one: words for one, words in made.bound.items() if one in ids})
        try:
            yield made
        finally:
            bindings._sources[:] = before


def maintainer(world: World, project_id: UUID) -> Person:
    """A member who only views, and maintains one project."""
    person = world.member("Mia", Role.VIEWER)
    with tenancy.enter(world.acme.id):
        RoleGrant.objects.create(
            membership=Membership.objects.get(person=person),
            role=Role.MAINTAINER,
            scope=Scope.PROJECT,
            scope_id=project_id,
        )
    return person
