"""The roles matrix and the access surfaces, rendered from the policy's own tables."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from orgs import selectors
from orgs.console.door import page, signed_in
from orgs.policy.matrix import columns, footnotes, groups
from orgs.policy.surfaces import SURFACES
from orgs.selectors import Visitor


@require_safe
@signed_in
def roles(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Who may do what here, with one's own roles marked."""
    seen = selectors.member(actor=visitor.actor, slug=slug, person_id=visitor.actor.person_id)
    context = {
        "columns": columns(),
        "groups": groups(),
        "footnotes": footnotes(),
        "surfaces": SURFACES,
        "mine": {grant.role for grant in seen.grants},
        "here": "roles",
    }
    return page(request, visitor, "roles.html", context, about=seen)
