"""Members: the list with its invitations, and one member with what can be done about them."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envforge.errors import Conflict, EnvForgeError, Invalid
from orgs import operations, selectors
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import chosen, uuid_or_none
from orgs.places import Place
from orgs.roles import SAYS, Role, Scope
from orgs.selectors import PlaceOffer, Visitor

read_and_write = require_http_methods(["GET", "HEAD", "POST"])
MAX_SEARCH_LENGTH = 100


@read_and_write
@signed_in
def members(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The members, page by page; a POST invites somebody, and what was typed stays if it cannot be done."""
    search = " ".join(request.GET.get("q", "").split())[:MAX_SEARCH_LENGTH]
    after = uuid_or_none(request.GET.get("after", ""))
    given = {"email": "", "role": Role.DEVELOPER.value}
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        organization = selectors.organization(actor=visitor.actor, slug=slug)
        given = {name: request.POST.get(name, "") for name in given}
        try:
            operations.invite_member(
                actor=visitor.actor,
                org_id=organization.id,
                inviter=visitor.person,
                email=given["email"],
                role=chosen(Role, given["role"], field="role"),
            )
        except Invalid as invalid:
            wrong, status = invalid.fields, invalid.status
        except Conflict as conflict:
            wrong, status = {"email": conflict.detail}, conflict.status
        else:
            return see_other(reverse("members", args=[slug]))
    seen = selectors.members(actor=visitor.actor, slug=slug, search=search, after=after)
    context = {
        "seen": seen,
        "search": search,
        "paged": after is not None,
        "given": given,
        "wrong": wrong,
        "choices": _choices(seen.may_give),
        "here": "members",
    }
    return page(request, visitor, "members/list.html", context, about=seen, status=status)


@require_safe
@signed_in
def member(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """One member."""
    return member_page(request, visitor, slug, person_id)


@require_POST
@signed_in
def give_role(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """Give the member a role in the organization, or in the project or workspace that the form names."""
    return _change_role(request, visitor, slug, person_id, operations.grant_role)


@require_POST
@signed_in
def take_role(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """Take one of the member's roles, in whatever scope it is."""
    return _change_role(request, visitor, slug, person_id, operations.revoke_role)


def _change_role(
    request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID, operation: Callable[..., None]
) -> HttpResponse:
    organization = selectors.organization(actor=visitor.actor, slug=slug)
    scope = request.POST.get("scope", Scope.ORGANIZATION.value)
    try:
        operation(
            actor=visitor.actor,
            org_id=organization.id,
            person_id=person_id,
            role=chosen(Role, request.POST.get("role", ""), field="role"),
            scope=chosen(Scope, scope, field="scope"),
            scope_id=uuid_or_none(request.POST.get("scope_id", "")),
        )
    except (Invalid, Conflict) as refused:
        return member_page(request, visitor, slug, person_id, refused=refused)
    return see_other(reverse("member", args=[slug, person_id]))


def member_page(
    request: HttpRequest,
    visitor: Visitor,
    slug: str,
    person_id: UUID,
    *,
    refused: EnvForgeError | None = None,
) -> HttpResponse:
    seen = selectors.member(actor=visitor.actor, slug=slug, person_id=person_id)
    context = {
        "seen": seen,
        "choices": _choices(seen.may_give),
        "place_forms": _place_forms(seen.places),
        "refused": refused.detail if refused else "",
        "here": "members",
    }
    status = refused.status if refused else 200
    return page(request, visitor, "members/one.html", context, about=seen, status=status)


def _place_forms(offers: list[PlaceOffer]) -> list[dict[str, Any]]:
    """A form for each scope and set of roles that can be given there: what is offered can be given in each of its places."""
    forms: dict[tuple[Scope, tuple[Role, ...]], list[Place]] = {}
    for offer in offers:
        forms.setdefault((offer.place.scope, offer.may_give), []).append(offer.place)
    return [
        {
            "scope": scope.value,
            "field": f"{scope.value}-{number}",
            "places": [(str(place.id), place.name) for place in places],
            "choices": _choices(roles),
        }
        for number, ((scope, roles), places) in enumerate(forms.items())
    ]


def _choices(roles: tuple[Role, ...]) -> list[tuple[str, str]]:
    # The least first: what stands chosen by itself must not be the most.
    return [(role.value, SAYS[role]) for role in reversed(roles)]
