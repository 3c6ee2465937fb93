"""Members: the list with its invitations, and one member with what can be done about them."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envforge.errors import Conflict, EnvForgeError, Invalid
from orgs import operations, selectors
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import chosen, uuid_or_none
from orgs.roles import SAYS, Role, Scope
from orgs.selectors import Visitor

read_and_write = require_http_methods(["GET", "HEAD", "POST"])
MAX_SEARCH_LENGTH = 100
# What a removal or suspension closes, in the words of the receipt.
CLOSED_WORDS = {
    "sessions": "sessions in a browser, signed out",
    "tokens": "tokens of service accounts, ended",
    "certificates": "SSH certificates, withdrawn",
    "dev_links": "dev links, revoked",
    "dev_links_handed_over": "dev links, handed over",
    "dev_sessions": "reviewers' sessions, closed",
    "root_grants": "root grants, ended",
}


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
    return _member_page(request, visitor, slug, person_id)


@require_POST
@signed_in
def give_role(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """Give the member a role in the organization."""
    organization = selectors.organization(actor=visitor.actor, slug=slug)
    try:
        operations.grant_role(
            actor=visitor.actor,
            org_id=organization.id,
            person_id=person_id,
            role=chosen(Role, request.POST.get("role", ""), field="role"),
        )
    except Invalid as invalid:
        return _member_page(request, visitor, slug, person_id, refused=invalid)
    return see_other(reverse("member", args=[slug, person_id]))


@require_POST
@signed_in
def take_role(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """Take one of the member's roles, in whatever scope it is."""
    organization = selectors.organization(actor=visitor.actor, slug=slug)
    try:
        operations.revoke_role(
            actor=visitor.actor,
            org_id=organization.id,
            person_id=person_id,
            role=chosen(Role, request.POST.get("role", ""), field="role"),
            scope=chosen(Scope, request.POST.get("scope", ""), field="scope"),
            scope_id=uuid_or_none(request.POST.get("scope_id", "")),
        )
    except (Invalid, Conflict) as refused:
        return _member_page(request, visitor, slug, person_id, refused=refused)
    return see_other(reverse("member", args=[slug, person_id]))


@read_and_write
@signed_in
def suspend(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """Say what a suspension closes; do it, and show the receipt."""
    return _close(request, visitor, slug, person_id, act="suspend")


@read_and_write
@signed_in
def remove(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """Say what a removal closes; do it, and show the receipt."""
    return _close(request, visitor, slug, person_id, act="remove")


@require_POST
@signed_in
def restore(_request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """End a suspension."""
    organization = selectors.organization(actor=visitor.actor, slug=slug)
    operations.restore_member(actor=visitor.actor, org_id=organization.id, person_id=person_id)
    return see_other(reverse("member", args=[slug, person_id]))


def _close(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID, *, act: str) -> HttpResponse:
    seen = selectors.member(actor=visitor.actor, slug=slug, person_id=person_id)
    context = {"seen": seen, "act": act, "here": "members"}
    if request.method != "POST":
        context["words"] = CLOSED_WORDS
        return page(request, visitor, "members/confirm.html", context, about=seen)
    operation = operations.suspend_member if act == "suspend" else operations.remove_member
    try:
        receipt = operation(actor=visitor.actor, org_id=seen.organization.id, person_id=person_id)
    except Conflict as refused:
        return _member_page(request, visitor, slug, person_id, refused=refused)
    context["closed"] = [(words, receipt.closed.get(held, 0)) for held, words in CLOSED_WORDS.items()]  # type: ignore[call-overload]
    # Who has left sees the organization's name once more, and none of its navigation.
    about = None if act == "remove" and seen.own else seen
    return page(request, visitor, "members/receipt.html", context, about=about)


def _member_page(
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
        "refused": refused.detail if refused else "",
        "here": "members",
    }
    status = refused.status if refused else 200
    return page(request, visitor, "members/one.html", context, about=seen, status=status)


def _choices(roles: tuple[Role, ...]) -> list[tuple[str, str]]:
    # The least first: what stands chosen by itself must not be the most.
    return [(role.value, SAYS[role]) for role in reversed(roles)]
