"""What is wrong with a contract: every problem at once, each with its place and the way out of it."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches

from envforge_protocol.credentials import credential_in

MAX_PROBLEMS = 100
"""So many are told; whoever has more begins with these."""

Path = tuple[str | int, ...]

_LONGEST_SHOWN = 40
_PLAIN = re.compile(r"[\w./:-]+(?: [\w./:-]+)*")
# Long, and letters mixed with digits: more likely a key than a word somebody mistyped.
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[\w./:+=-]{16,}")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to put right.

    Attributes:
        line, column: where it stands, both from 1; columns count characters.
        path: the field, such as `service.kind` or `setup[0].command`; empty for the file as a whole.
        problem: what is wrong, in words. Never the value of something that may be a secret.
        expected: what would be right; may be empty.
        hint: the likely way out, such as a nearest name; may be empty.
    """

    line: int
    column: int
    path: str
    problem: str
    expected: str = ""
    hint: str = ""

    @property
    def text(self) -> str:
        """All of it but the place, in one line."""
        told = f"{self.path}: {self.problem}" if self.path else self.problem
        if self.expected:
            told += f"; expected {self.expected}"
        return f"{told} ({self.hint})" if self.hint else told

    def to_json(self) -> dict[str, str | int]:
        return asdict(self)


class BadContract(ValueError):
    """The text is not a contract.

    Attributes:
        problems: at least one and at most MAX_PROBLEMS, in the order of the file.
        not_listed: how many more there are.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        found = sorted(set(problems))
        self.problems = tuple(found[:MAX_PROBLEMS])
        self.not_listed = len(found) - len(self.problems)
        super().__init__("; ".join(f"line {one.line}: {one.text}" for one in self.problems[:3]))


def dotted(path: Path) -> str:
    """A path as people read it: `setup[0].command`. A part that does not look like a name is not repeated."""
    told = ""
    for part in path:
        if isinstance(part, int):
            told += f"[{part}]"
        else:
            told += ("." if told else "") + (part if is_showable(part) else "(hidden)")
    return told


def is_showable(text: str) -> bool:
    """Whether a piece of the file may be repeated: short, plain, and nothing like a credential."""
    return (
        0 < len(text) <= _LONGEST_SHOWN
        and _PLAIN.fullmatch(text) is not None
        and _RANDOM.fullmatch(text) is None
        and credential_in(text) is None
    )


def quoted(text: str) -> str:
    """The text between backticks, or `this` where it must not be repeated."""
    return f"`{text}`" if is_showable(text) else "this"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name somebody probably meant."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word[:_LONGEST_SHOWN].lower(), sorted(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
