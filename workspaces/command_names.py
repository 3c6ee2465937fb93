"""What a command that somebody wrote is called in its receipt, which is safe to paste (W9)."""

import re
from collections.abc import Sequence

from envforge_protocol.credentials import credential_in

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./+@-]{1,80}")
# What a command is called where its first word could give something away.
UNNAMED = "command"


def name_of(words: Sequence[str]) -> str:
    """The first word of a command somebody wrote, for its receipt: settings before it and what looks like a secret stay out."""
    if len(words) == 3 and words[:2] == ("/bin/sh", "-c"):
        words = words[2].split()
    first = next((word for word in words if not _ASSIGNMENT.match(word)), UNNAMED)
    if not _PLAIN_WORD.fullmatch(first) or credential_in(first):
        return UNNAMED
    return first
