"""Who holds something for longer than a request: kept as words, and an actor again when its act is told or asked about."""

from uuid import UUID

from envforge.actor import SYSTEM, Actor, ServiceAccountActor, UserActor

# What a program that holds something may be asked about: its roles count here, its token's scopes were asked at the door.
_ALL_SCOPES_OF_A_SHELL = frozenset({"shell.connect", "console.forward"})


def holder_id_of(actor: Actor) -> UUID:
    """The id by which what an actor holds is ended: its person's, or a program's own."""
    people = sorted(actor.people)
    if people:
        return people[0]
    assert isinstance(actor, ServiceAccountActor)  # noqa: S101 - nobody else gets here; for the types
    return actor.account_id


def as_actor(*, kind: str, actor_id: str, label: str, org_id: UUID, acts_for: UUID | None = None) -> Actor:
    """The actor that these columns were written from."""
    if kind == UserActor.kind:
        return UserActor(id=actor_id, label=label, person_id=UUID(actor_id))
    if kind == ServiceAccountActor.kind:
        return ServiceAccountActor(
            id=actor_id,
            label=label,
            account_id=UUID(actor_id),
            org_id=org_id,
            scopes=_ALL_SCOPES_OF_A_SHELL,
            acts_for=acts_for,
        )
    return SYSTEM
