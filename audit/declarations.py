"""What one kind of event is."""

from dataclasses import dataclass
from typing import Any

from audit.facts import Fact, FactRefused, FactValue


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one kind of event is."""

    name: str
    says: str
    facts: dict[str, Fact]

    def read(self, given: dict[str, Any]) -> dict[str, FactValue]:
        """The facts of one event as they are stored.

        Raises:
            FactRefused: as `EventKind.read_facts`.
        """
        undeclared = given.keys() - self.facts.keys()
        if undeclared:
            raise FactRefused(f"{self.name} declares no fact {', '.join(sorted(undeclared))}")
        stored: dict[str, FactValue] = {}
        for name, fact in self.facts.items():
            value = given.get(name)
            if value is None:
                if not fact.optional:
                    raise FactRefused(f"{self.name} needs the fact {name}")
                continue
            try:
                stored[name] = fact.read(value)
            except (ValueError, TypeError, AttributeError) as wrong:
                raise FactRefused(f"{self.name}: the fact {name} {wrong}") from None
        return stored


def kind(name: str, says: str, **facts: Fact) -> Declaration:
    return Declaration(name, says, facts)
