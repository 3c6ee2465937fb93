"""The pages of roles in customers' own accounts, and importing a secret through one."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from envforge.errors import Conflict, EnvForgeError, Invalid, NotVisible, Unavailable
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import uuid_or_none
from orgs.selectors import Visitor, organization
from secrets_ref import role_operations, role_selectors, selectors

read_and_write = require_http_methods(["GET", "HEAD", "POST"])
MAX_SHOWN_LENGTH = 300


@read_and_write
@signed_in
def roles(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The roles with the policies to give them; a POST registers one."""
    given, wrong, status = {"role_arn": "", "region": ""}, {}, 200
    if request.method == "POST":
        given = {name: request.POST.get(name, "")[:MAX_SHOWN_LENGTH].strip() for name in given}
        org_id = organization(actor=visitor.actor, slug=slug).id
        try:
            role_operations.register_customer_role(actor=visitor.actor, org_id=org_id, **given)
        except (Invalid, Conflict) as refused:
            wrong, status = _wrong(refused, "role_arn"), refused.status
            given |= dict.fromkeys(wrong.keys() & given.keys(), "")
        else:
            return see_other(reverse("customer-roles", args=[slug]))
    return _shown(request, visitor, slug, given=given, wrong=wrong, status=status)


@require_POST
@signed_in
def check(request: HttpRequest, visitor: Visitor, slug: str, role_id: UUID) -> HttpResponse:
    """Try a role; what is wrong stands beside it afterwards."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    try:
        role_operations.check_customer_role(actor=visitor.actor, org_id=org_id, role_id=role_id)
    except Unavailable as refused:
        return _shown(request, visitor, slug, refused=refused.detail, status=refused.status)
    return see_other(reverse("customer-roles", args=[slug]))


@require_POST
@signed_in
def remove(request: HttpRequest, visitor: Visitor, slug: str, role_id: UUID) -> HttpResponse:
    """Forget a role through which nothing is read."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    try:
        role_operations.remove_customer_role(actor=visitor.actor, org_id=org_id, role_id=role_id)
    except Conflict as refused:
        return _shown(request, visitor, slug, refused=refused.detail, status=refused.status)
    return see_other(reverse("customer-roles", args=[slug]))


@read_and_write
@signed_in
def take_up(request: HttpRequest, visitor: Visitor, slug: str, role_id: UUID) -> HttpResponse:
    """Import a secret through a role."""
    given, wrong, status = {"path": "", "name": "", "place": ""}, {}, 200
    if request.method == "POST":
        given = {name: request.POST.get(name, "")[:MAX_SHOWN_LENGTH].strip() for name in given}
        try:
            made = role_operations.import_through_role(
                actor=visitor.actor,
                org_id=organization(actor=visitor.actor, slug=slug).id,
                role_id=role_id,
                path=given["path"],
                name=given["name"],
                project_id=uuid_or_none(given["place"]),
            )
        except (Invalid, Conflict, Unavailable) as refused:
            wrong, status = _wrong(refused, "path"), refused.status
            # What is refused for its form may be a value in the wrong field.
            given |= dict.fromkeys(wrong.keys() & {"path", "name"}, "")
        else:
            return see_other(reverse("secret", args=[slug, made.id]))
    seen = role_selectors.roles(actor=visitor.actor, slug=slug)
    role = next((one for one in seen.roles if one.id == role_id), None)
    if role is None:
        raise NotVisible
    places = selectors.secrets(actor=visitor.actor, slug=slug, size=1).may_set_in
    context = {
        "seen": seen,
        "role": role,
        "places": [(str(one.project_id or ""), one.name) for one in places],
        "given": given,
        "wrong": wrong,
        "here": "secrets",
    }
    return page(request, visitor, "secrets/through_role.html", context, about=seen, status=status)


def _shown(
    request: HttpRequest,
    visitor: Visitor,
    slug: str,
    *,
    given: dict[str, str] | None = None,
    wrong: dict[str, str] | None = None,
    refused: str = "",
    status: int = 200,
) -> HttpResponse:
    seen = role_selectors.roles(actor=visitor.actor, slug=slug)
    context = {
        "seen": seen,
        "holding": sum(not one.trouble for one in seen.roles),
        "given": given or {"role_arn": "", "region": ""},
        "wrong": wrong or {},
        "refused": refused,
        "here": "secrets",
    }
    return page(request, visitor, "secrets/roles.html", context, about=seen, status=status)


def _wrong(refused: EnvForgeError, field: str) -> dict[str, str]:
    if isinstance(refused, Invalid) and refused.fields:
        return refused.fields
    return {field: refused.detail}
