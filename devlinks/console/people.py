"""The links that one member answers for: looking at them, ending all of them, handing them over (I4)."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from devlinks import selectors
from devlinks.console.pages import DOTS
from devlinks.operations import links as operations
from envforge.errors import Invalid
from orgs.console.door import page, see_other, signed_in
from orgs.selectors import Visitor, members, organization

MAX_SEARCH_LENGTH = 320


@require_safe
@signed_in
def links(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """What a member answers for."""
    return _page_of(request, visitor, slug, person_id)


@require_POST
@signed_in
def revoke(_request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """End every open link that a member answers for."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    operations.revoke_links_of_person(actor=visitor.actor, org_id=org_id, person_id=person_id)
    return see_other(reverse("member-links", args=[slug, person_id]))


@require_POST
@signed_in
def hand_over(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """Let another member answer for them; whoever that is, is told by e-mail address or by a name that is one member's alone."""
    given = " ".join(request.POST.get("to", "").split())[:MAX_SEARCH_LENGTH]
    try:
        to = _member(visitor, slug, given)
        org_id = organization(actor=visitor.actor, slug=slug).id
        operations.hand_over_links(actor=visitor.actor, org_id=org_id, person_id=person_id, to=to)
    except Invalid as refused:
        return _page_of(request, visitor, slug, person_id, given=given, refused=refused)
    return see_other(reverse("member-links", args=[slug, to]))


def _member(visitor: Visitor, slug: str, given: str) -> UUID:
    """The one member that is meant.

    Raises:
        Invalid: nobody is, or several.
    """
    found = members(actor=visitor.actor, slug=slug, search=given).members if given else []
    exact = [one for one in found if one.email.casefold() == given.casefold()]
    meant = exact or found
    if len(meant) == 1:
        return meant[0].person_id
    several = "Several members are found by that." if meant else "No member is found by that."
    raise Invalid("Links are handed over to one member.", {"to": f"{several} Write their e-mail address."})


def _page_of(
    request: HttpRequest,
    visitor: Visitor,
    slug: str,
    person_id: UUID,
    *,
    given: str = "",
    refused: Invalid | None = None,
) -> HttpResponse:
    seen = selectors.links_of_person(actor=visitor.actor, slug=slug, person_id=person_id)
    context = {
        "here": "members",
        "seen": seen,
        "rows": [{"view": view, "dot": DOTS[view.state]} for view in seen.links],
        "given": given,
        "wrong": refused.fields if refused else {},
    }
    status = refused.status if refused else 200
    return page(request, visitor, "devlinks/person.html", context, about=seen, status=status)
