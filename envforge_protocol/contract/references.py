"""The references in a variable's text: `${inputs.NAME}`, `${resources.NAME.PROPERTY}`, `${ports.NAME}`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(r"\$\$\{|\$\{([^{}$\s]{0,200})\}|\$\{")
_REFERENCE = re.compile(
    r"(?P<scope>inputs|ports)\.(?P<name>[A-Za-z0-9_-]+)|(?P<resources>resources)\.(?P<resource>[A-Za-z0-9_-]+)\.(?P<property>[a-z_]+)"
)

IN_COMMANDS = re.compile(r"\$\{(?:inputs|resources|ports)\.")
"""What looks like a reference where none is replaced."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a variable's text refers to; `key` is the name under which its value is given, such as `inputs.NAME`."""

    scope: str
    name: str
    property_name: str = ""

    @property
    def key(self) -> str:
        return f"{self.scope}.{self.name}" + (f".{self.property_name}" if self.property_name else "")


@dataclass(frozen=True, slots=True)
class Malformed:
    """`${` with something that is no reference."""

    written: str


def split(text: str) -> Iterator[str | Reference | Malformed]:
    """The pieces of a variable's text in order: literal text (`$${` already `${`), references, and what is neither."""
    end = 0
    for token in _TOKEN.finditer(text):
        if token.start() > end:
            yield text[end : token.start()]
        end = token.end()
        if token[0] == "$${":
            yield "${"
            continue
        found = _REFERENCE.fullmatch(token[1] or "")
        if found is None:
            yield Malformed(token[1] or "")
        elif found["resources"]:
            yield Reference("resources", found["resource"], found["property"])
        else:
            yield Reference(found["scope"], found["name"])
    if end < len(text):
        yield text[end:]


def references(text: str) -> list[Reference]:
    return [piece for piece in split(text) if isinstance(piece, Reference)]


def literal_text(text: str) -> str:
    """What of the text stands in the file itself; a space where a reference was."""
    return "".join(piece if isinstance(piece, str) else " " for piece in split(text))
