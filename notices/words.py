"""Other people's words in our mail: one short line, that cannot become a header, a link or another direction of text."""

import re

MAX_LENGTH = 80

_DOT_INSIDE = re.compile(r"(?<=\w)\.(?=\w)")


def readable(text: str) -> str:
    """One line of at most 80 printable characters; line breaks, controls and direction marks become spaces."""
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= MAX_LENGTH else f"{line[: MAX_LENGTH - 1].rstrip()}…"


def unlinkable(line: str) -> str:
    """The same to the eye, yet nothing that a mail program makes a link of.

    Whoever names an organization chooses words that we then send to anybody they invite: "Acme" may be
    "You won, see evil.example".
    """
    # The one dot leader looks like a full stop, the division slash like a slash.
    return _DOT_INSIDE.sub("\N{ONE DOT LEADER}", line).replace("://", ":\N{DIVISION SLASH}\N{DIVISION SLASH}")
