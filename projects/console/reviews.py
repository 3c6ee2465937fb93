"""The review of a proposal: what it changes, and what a maintainer says of it (W2)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from envforge.errors import Conflict, Invalid
from envforge_protocol.contract.difference import Weight
from orgs.console.door import page, see_other, signed_in
from orgs.selectors import Visitor
from projects import operations, selectors

# What a change's weight says, with the colour it has.
WEIGHTS = {
    Weight.WIDENS: ("asks for more", "waking"),
    Weight.CHANGES: ("works otherwise", "asleep"),
    Weight.HARMLESS: ("asks for no more", ""),
}
DECISIONS = {"approve": operations.approve_contract, "reject": operations.reject_contract}
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a unified difference: its number in either file, and what became of it (`kind` is a sign, or a gap)."""

    kind: str
    old: int | None
    new: int | None
    text: str


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def proposal(
    request: HttpRequest, visitor: Visitor, slug: str, project: str, proposal_id: UUID
) -> HttpResponse:
    """A proposal against what was approved last; a POST approves or rejects it."""
    seen = selectors.review(actor=visitor.actor, slug=slug, proposal_id=proposal_id, project=project)
    refused, status = "", 200
    if request.method == "POST":
        decide = DECISIONS.get(request.POST.get("decision", ""))
        if decide is None:
            raise Invalid("That is none of the choices.", {"decision": "Choose approve or reject."})
        try:
            decide(actor=visitor.actor, org_id=seen.organization.id, proposal_id=proposal_id)
        except Conflict as conflict:
            refused, status = conflict.detail, conflict.status
        else:
            return see_other(reverse("project", args=[slug, project]))
    context = {
        "seen": seen,
        "changes": [
            {"view": one, "weight": WEIGHTS[one.weight][0], "dot": WEIGHTS[one.weight][1]}
            for one in seen.changes
        ],
        "widens": sum(one.weight is Weight.WIDENS for one in seen.changes),
        "lines": list(lines_of(seen.difference)),
        "commit": seen.proposal.commit[:7],
        "refused": refused,
        "here": "projects",
    }
    return page(request, visitor, "projects/review.html", context, about=seen, status=status)


def lines_of(difference: str) -> Iterator[Line]:
    """The lines of a unified difference (difflib's), numbered; a gap stands where lines are left out."""
    old = new = 0
    for line in difference.splitlines()[2:]:
        found = _HUNK.match(line)
        if found:
            begins = int(found[1]), int(found[2])
            if begins > (1, 1):
                yield Line("gap", None, None, "")
            old, new = begins
            continue
        sign, text = line[:1], line[1:]
        yield Line(
            {"+": "added", "-": "removed"}.get(sign, "same"),
            None if sign == "+" else old,
            None if sign == "-" else new,
            text,
        )
        old, new = old + (sign != "+"), new + (sign != "-")
