"""What apps above say on a member's page of things that the member answers for; registered in `AppConfig.ready`."""

from collections.abc import Callable
from dataclasses import dataclass

from envforge.actor import Actor
from orgs.models import Membership


@dataclass(frozen=True, slots=True)
class MemberLine:
    """A line of the page: its words, and the name of the page (of an organization and a person) that has the rest."""

    words: str
    page: str


# Called in the entered organization; None where there is nothing, or the actor may not see it.
Source = Callable[[Actor, Membership], MemberLine | None]

_sources: dict[str, Source] = {}


def tell_on_member(name: str, source: Source) -> None:
    """Register what knows of one kind of thing."""
    _sources[name] = source


def lines(actor: Actor, membership: Membership) -> list[MemberLine]:
    """What there is to say, by the sources' names."""
    told = [source(actor, membership) for _, source in sorted(_sources.items())]
    return [one for one in told if one is not None]
