"""What one kind of event is."""

from dataclasses import dataclass

from audit.facts import Fact


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one kind of event is."""

    name: str
    says: str
    facts: dict[str, Fact]


def kind(name: str, says: str, **facts: Fact) -> Declaration:
    return Declaration(name, says, facts)
