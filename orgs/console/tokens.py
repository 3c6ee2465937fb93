"""Service accounts and their tokens; a token's value is in one answer, and nowhere else."""

from datetime import timedelta
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from envforge.errors import Conflict, Invalid
from orgs import operations, selectors
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import chosen
from orgs.policy.matrix import scope_groups
from orgs.roles import SAYS, Role
from orgs.selectors import Visitor

read_and_write = require_http_methods(["GET", "HEAD", "POST"])
LIFETIMES = {
    "1": ("1 day", timedelta(days=1)),
    "7": ("7 days", timedelta(days=7)),
    "30": ("30 days", timedelta(days=30)),
    "90": ("90 days", timedelta(days=90)),
    "365": ("1 year", timedelta(days=365)),
}


@read_and_write
@signed_in
def accounts(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The service accounts; a POST creates one."""
    given = {"name": "", "role": Role.DEVELOPER.value, "acts_for": ""}
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        given = {name: request.POST.get(name, "") for name in given}
        organization = selectors.organization(actor=visitor.actor, slug=slug)
        try:
            account = operations.create_service_account(
                actor=visitor.actor,
                org_id=organization.id,
                creator=visitor.person,
                name=given["name"],
                role=chosen(Role, given["role"], field="role"),
                acts_for=_acts_for(visitor, slug, given["acts_for"]),
            )
        except Invalid as invalid:
            wrong, status = invalid.fields, invalid.status
        except Conflict as conflict:
            wrong, status = {"name": conflict.detail}, conflict.status
        else:
            return see_other(reverse("service-account", args=[slug, account.id]))
    seen = selectors.accounts(actor=visitor.actor, slug=slug)
    choices = [(role.value, SAYS[role]) for role in reversed(seen.may_give)]
    context = {"seen": seen, "given": given, "wrong": wrong, "choices": choices, "here": "tokens"}
    return page(request, visitor, "tokens/list.html", context, about=seen, status=status)


@read_and_write
@signed_in
def account(request: HttpRequest, visitor: Visitor, slug: str, account_id: UUID) -> HttpResponse:
    """One account and its tokens; a POST issues one, and its answer alone shows the value."""
    seen = selectors.account(actor=visitor.actor, slug=slug, account_id=account_id)
    given = {"name": "", "lifetime": "30"}
    scopes: frozenset[str] = frozenset()
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        given = {name: request.POST.get(name, "") for name in given}
        scopes = frozenset(request.POST.getlist("scopes"))
        _, lifetime = LIFETIMES.get(given["lifetime"], ("", timedelta(0)))
        try:
            token, value = operations.issue_token(
                actor=visitor.actor,
                org_id=seen.organization.id,
                issuer=visitor.person,
                account_id=account_id,
                name=given["name"],
                scopes=scopes,
                lifetime=lifetime,
            )
        except Invalid as invalid:
            wrong, status = invalid.fields, invalid.status
        except Conflict as conflict:
            wrong, status = {"name": conflict.detail}, conflict.status
        else:
            shown = {"seen": seen, "token": token, "value": value.reveal_text(), "here": "tokens"}
            response = page(request, visitor, "tokens/value.html", shown, about=seen)
            response["Cache-Control"] = "no-store"
            return response
    context = {
        "seen": seen,
        "given": given,
        "scopes": scopes,
        "wrong": wrong,
        "groups": scope_groups(seen.scopes),
        "lifetimes": [(key, words) for key, (words, _) in LIFETIMES.items()],
        "here": "tokens",
    }
    return page(request, visitor, "tokens/one.html", context, about=seen, status=status)


@read_and_write
@signed_in
def remove(request: HttpRequest, visitor: Visitor, slug: str, account_id: UUID) -> HttpResponse:
    """Say what ends with the account; a POST ends it."""
    seen = selectors.account(actor=visitor.actor, slug=slug, account_id=account_id)
    if request.method != "POST":
        context = {"seen": seen, "here": "tokens"}
        return page(request, visitor, "tokens/remove.html", context, about=seen)
    operations.remove_service_account(actor=visitor.actor, org_id=seen.organization.id, account_id=account_id)
    return see_other(reverse("tokens", args=[slug]))


@require_POST
@signed_in
def revoke(
    _request: HttpRequest, visitor: Visitor, slug: str, account_id: UUID, token_id: UUID
) -> HttpResponse:
    """End a token at once."""
    organization = selectors.organization(actor=visitor.actor, slug=slug)
    operations.revoke_token(actor=visitor.actor, org_id=organization.id, token_id=token_id)
    return see_other(reverse("service-account", args=[slug, account_id]))


def _acts_for(visitor: Visitor, slug: str, email: str) -> UUID | None:
    if not email.strip():
        return None
    found = selectors.member_by_email(actor=visitor.actor, slug=slug, email=email)
    if found is None:
        raise Invalid("An agent acts for a member.", {"acts_for": "No member has this verified address."})
    return found
