"""The documented examples, and short ways to ask what is wrong with a text."""

import re
from pathlib import Path
from textwrap import dedent

from envforge_protocol.contract import BadContract, Contract, Problem, parse

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "contract.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
MINIMAL, FULL = EXAMPLES


def good(text: str) -> Contract:
    return parse(dedent(text).encode())


def problems(text: str | bytes) -> list[Problem]:
    """What is wrong; fails if nothing is."""
    try:
        parse(text if isinstance(text, bytes) else dedent(text).encode())
    except BadContract as bad:
        return [*bad.problems]
    raise AssertionError("this was accepted")


def only(text: str | bytes) -> Problem:
    found = problems(text)
    assert len(found) == 1, [one.text for one in found]
    return found[0]


def minimal(*more: str, without: str = "") -> str:
    """The smallest contract with more lines, and without the section that begins so."""
    sections = re.split(r"^(?=\S)", MINIMAL, flags=re.MULTILINE)
    kept = [section for section in sections if not without or not section.startswith(without)]
    return "".join(kept) + "".join(dedent(one).rstrip() + "\n" for one in more)
