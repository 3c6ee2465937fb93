"""Events as sentences for people: pieces of text, so that a page can set the names apart and nothing is ever markup."""

from dataclasses import dataclass
from string import Formatter

from audit.kinds import BY_NAME
from audit.models import Event


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a sentence; `named` where it is who acted or what was acted upon."""

    text: str
    named: bool = False


def sentence(event: Event) -> list[Piece]:
    """What happened, in words; of a kind this version does not know, its name.

    The text is plain: whoever shows it escapes it.
    """
    kind = BY_NAME.get(event.kind)
    if kind is None:
        return [Piece(event.kind)]
    said: list[Piece] = []
    for text, field, _, _ in Formatter().parse(kind.says):
        if text:
            said.append(Piece(text))
        if field == "actor":
            said.append(Piece(event.actor_label, named=True))
        elif field == "target":
            said.append(Piece(event.target_label, named=True))
        elif field:
            said.append(Piece(_readable(event.facts.get(field))))
    return said


def _readable(fact: object) -> str:
    """A fact as words: `ended_elsewhere` reads `ended elsewhere`; one that is missing in an old event is said to be unknown."""
    if fact is None:
        return "(unknown)"
    return str(fact).replace("_", " ")
