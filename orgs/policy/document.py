"""`docs/policy.md`, from the table that decides."""

from collections.abc import Iterator

from orgs.policy.matrix import columns, footnotes, groups
from orgs.policy.surfaces import SURFACES


def document() -> str:
    """The whole document in Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from ("# Who may do what", "")
    yield "Written by `./dev manage policy_docs` from the table that decides every request."
    yield from ("", "## Roles", "", "| Role | Held in | Says |", "|---|---|---|")
    for one in columns():
        yield f"| {one.role.value} | {one.scope.value} | {one.says} |"
    for group in groups():
        yield from ("", f"## {group.title}", "")
        yield f"| Action | {' | '.join(one.role.value for one in columns())} |"
        yield f"|---|{':-:|' * len(columns())}"
        for row in group.rows:
            notes = "".join(f" [{note}]" for note in row.notes)
            yield f"| {row.says}{notes} | {' | '.join('yes' if cell.allowed else '' for cell in row.cells)} |"
    yield ""
    yield from (f"- [{number}] {words}" for number, words in enumerate(footnotes(), 1))
    yield from ("", "## Access surfaces", "", "| Surface | Who | Allowed | Blocked |", "|---|---|---|---|")
    for surface in SURFACES:
        allowed = "<br>".join(surface.allowed) or "nothing"
        yield f"| {surface.name} | {surface.who} | {allowed} | {'<br>'.join(surface.blocked)} |"
