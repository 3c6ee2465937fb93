"""Projects and workspaces as the apps above will bring them: a source of a test's own, for as long as the test runs."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import orgs.places
from envforge import tenancy
from envforge.actor import Actor
from envforge.ids import uuid7
from orgs.places import Place, forget_places, offer_places
from orgs.roles import Scope


@dataclass
class Places:
    """The places of one scope, by organization."""

    scope: Scope
    of: dict[UUID, list[Place]] = field(default_factory=dict)

    def make(self, org_id: UUID, name: str, project_id: UUID | None = None) -> Place:
        place = Place(self.scope, uuid7(), name, project_id)
        self.of.setdefault(org_id, []).append(place)
        return place

    def offered(self, actor: Actor, at_most: int) -> list[Place]:
        return self.of.get(tenancy.current_org(), [])[:at_most]

    def found(self, ids: Iterable[UUID]) -> list[Place]:
        wanted = set(ids)
        return [place for place in self.of.get(tenancy.current_org(), []) if place.id in wanted]


@contextmanager
def places(scope: Scope) -> Iterator[Places]:
    """In place of what the app of this scope registered."""
    source = Places(scope)
    before = orgs.places._sources.get(scope)
    forget_places(scope)
    offer_places(scope, source)
    try:
        yield source
    finally:
        forget_places(scope)
        if before:
            offer_places(scope, before)
