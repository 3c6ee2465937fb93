"""Projects and workspaces as upper apps tell of them, for tests of secrets: each organization's own, and nobody else's."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

from envforge import tenancy
from orgs.models import Membership, Person, RoleGrant
from orgs.roles import Role, Scope
from secrets_ref import places
from secrets_ref.places import WorkspaceOf
from tests.product.world import World


class Places:
    """Registered in place of the upper apps; asked with the organization entered, as they are."""

    def __init__(self) -> None:
        self.projects: dict[UUID, dict[UUID, str]] = {}
        self.workspaces: dict[UUID, dict[UUID, WorkspaceOf]] = {}
        self.bound: dict[UUID, list[str]] = {}

    def project(self, org_id: UUID, name: str) -> UUID:
        made = uuid4()
        self.projects.setdefault(org_id, {})[made] = name
        return made

    def workspace(self, org_id: UUID, project_id: UUID, name: str) -> UUID:
        made = uuid4()
        self.workspaces.setdefault(org_id, {})[made] = WorkspaceOf(project_id, name)
        return made

    def _projects(self, ids: Collection[UUID] | None) -> dict[UUID, str]:
        mine = self.projects.get(tenancy.current_org(), {})
        return {one: name for one, name in mine.items() if ids is None or one in ids}

    def _workspaces(self, ids: Collection[UUID] | None) -> dict[UUID, WorkspaceOf]:
        mine = self.workspaces.get(tenancy.current_org(), {})
        return {one: found for one, found in mine.items() if ids is None or one in ids}


@contextmanager
def some_places() -> Iterator[Places]:
    before = (places._projects[:], places._workspaces[:], places._bindings[:])
    made = Places()
    places.tell_projects(made._projects)
    places.tell_workspaces(made._workspaces)
    places.tell_bindings(lambda ids: {one: words for one, words in made.bound.items() if one in ids})
    try:
        yield made
    finally:
        places._projects[:], places._workspaces[:], places._bindings[:] = before


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
