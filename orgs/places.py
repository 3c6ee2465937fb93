"""Projects and workspaces, which lie in apps above this one, as those below know them: where roles are held and secrets belong.

Each of those apps registers one source for its scope. While none is registered, no role can be given and no secret set
there, and no page speaks of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from envforge.actor import Actor, Target
from orgs.roles import Scope

MOST_OFFERED = 200


@dataclass(frozen=True, slots=True)
class Place:
    """A project or workspace, by the name people know; a workspace's project counts in its policy.

    `in_use` is false for what is archived: it keeps its name, and is no choice any more.
    """

    scope: Scope
    id: UUID
    name: str
    project_id: UUID | None = None
    in_use: bool = True

    def as_target(self) -> Target:
        """What the policy is asked about where a role is given or taken."""
        is_project = self.scope is Scope.PROJECT
        return Target(
            self.scope.value,
            str(self.id),
            self.name,
            project_id=self.id if is_project else self.project_id,
            workspace_id=None if is_project else self.id,
        )


class PlaceSource(Protocol):
    """One app's places in the entered organization."""

    def offered(self, actor: Actor, at_most: int) -> list[Place]:
        """The places in use that the actor may see, by name, up to so many; what they may do there is asked by us."""
        ...

    def found(self, ids: Iterable[UUID]) -> list[Place]:
        """Those of the places that exist, in use or not, whoever asks."""
        ...


_sources: dict[Scope, PlaceSource] = {}


def offer_places(scope: Scope, source: PlaceSource) -> None:
    """Register the places of a scope, from `AppConfig.ready` of the app that owns such places."""
    if scope is Scope.ORGANIZATION or _sources.setdefault(scope, source) is not source:
        raise ValueError(f"Places of the scope {scope.value} have a source already.")


def forget_places(scope: Scope) -> None:
    """Take a source back; for tests that bring one of their own."""
    _sources.pop(scope, None)


def offered_places(actor: Actor, *scopes: Scope) -> list[Place]:
    """The places of every source, or of those of some scopes, that the actor may see, by scope and name."""
    return [
        place
        for scope in Scope
        if scope in _sources and (not scopes or scope in scopes)
        for place in _sources[scope].offered(actor, MOST_OFFERED)
    ]


def place_at(scope: Scope, place_id: UUID) -> Place | None:
    """The place with this id in the entered organization."""
    return places_at([(scope, place_id)]).get(place_id)


def places_at(wanted: Iterable[tuple[Scope, UUID]]) -> dict[UUID, Place]:
    """Those of the places that exist in the entered organization; one query for each scope."""
    asked = list(wanted)
    return {
        place.id: place
        for scope, source in _sources.items()
        if (ids := {one for where, one in asked if where is scope})
        for place in source.found(ids)
    }


def names_of(wanted: Iterable[tuple[Scope, UUID]]) -> dict[UUID, str]:
    """What those of the places that exist are called."""
    return {place.id: place.name for place in places_at(wanted).values()}
