"""The pages of secrets. A value is typed into a form, goes to the store, and is on no page again (S1, K3)."""

import re
from typing import Any
from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from envforge.errors import Conflict, EnvForgeError, Invalid, Unavailable
from envforge.reports import take_value
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import uuid_or_none
from orgs.selectors import Visitor, organization
from secrets_ref import operations, selectors
from secrets_ref.selectors import Secrets, State

read_and_write = require_http_methods(["GET", "HEAD", "POST"])
MAX_SHOWN_LENGTH = 200
NAME_LIKE = re.compile(r"[\w .-]{0,64}")
# What a state says, with the colour it has (see the design tokens).
STATES = {
    State.READY: ("ready", "awake"),
    State.ON_ITS_WAY: ("on its way", "waking"),
    State.NOT_ARRIVED: ("has no value: set it again", "waking"),
    State.CHANGED_OUTSIDE: ("changed outside of EnvForge", "waking"),
    State.DELETED_OUTSIDE: ("deleted outside of EnvForge: set it again", "danger"),
    State.BEING_DELETED: ("being deleted", "waking"),
}


@sensitive_post_parameters()
@sensitive_variables()
@read_and_write
@signed_in
def secrets(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The secrets, page by page; a POST sets a new one."""
    after = uuid_or_none(request.GET.get("after", ""))
    given = {"name": "", "place": ""}
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        value, sent = take_value(request, "value"), request.POST
        given = {name: sent.get(name, "")[:MAX_SHOWN_LENGTH] for name in given}
        try:
            made = operations.set_secret(
                actor=visitor.actor,
                org_id=organization(actor=visitor.actor, slug=slug).id,
                name=sent.get("name", ""),
                value=value,
                project_id=_place(given["place"]),
                key=sent.get("once", "")[:MAX_SHOWN_LENGTH],
            )
        except (Invalid, Conflict, Unavailable) as refused:
            wrong, status = _wrong(refused), refused.status
            if wrong.get("name") == operations.LOOKS_LIKE_A_VALUE or not NAME_LIKE.fullmatch(given["name"]):
                # A value in the wrong field is not repeated either.
                given["name"] = ""
        else:
            return see_other(reverse("secret", args=[slug, made.id]))
    seen = selectors.secrets(actor=visitor.actor, slug=slug, after=after)
    context = {
        "seen": seen,
        "rows": [
            {"view": view, "words": STATES[view.state][0], "dot": STATES[view.state][1]}
            for view in seen.secrets
        ],
        "says": _answer_first(seen),
        "places": [(str(one.project_id or ""), one.name) for one in seen.may_set_in],
        "paged": after is not None,
        "given": given,
        "wrong": wrong,
        "once": uuid4(),
        "here": "secrets",
    }
    return page(request, visitor, "secrets/list.html", context, about=seen, status=status)


@sensitive_post_parameters()
@sensitive_variables()
@read_and_write
@signed_in
def secret(request: HttpRequest, visitor: Visitor, slug: str, secret_id: UUID) -> HttpResponse:
    """One secret; a POST rotates it."""
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        value, sent = take_value(request, "value"), request.POST
        try:
            operations.rotate_secret(
                actor=visitor.actor,
                org_id=organization(actor=visitor.actor, slug=slug).id,
                secret_id=secret_id,
                value=value,
                key=sent.get("once", "")[:MAX_SHOWN_LENGTH],
            )
        except (Invalid, Conflict, Unavailable) as refused:
            wrong, status = _wrong(refused), refused.status
        else:
            return see_other(reverse("secret", args=[slug, secret_id]))
    seen = selectors.secret(actor=visitor.actor, slug=slug, secret_id=secret_id)
    words, dot = STATES[seen.secret.state]
    context = {"seen": seen, "words": words, "dot": dot, "wrong": wrong, "once": uuid4(), "here": "secrets"}
    return page(request, visitor, "secrets/one.html", context, about=seen, status=status)


@read_and_write
@signed_in
def delete(request: HttpRequest, visitor: Visitor, slug: str, secret_id: UUID) -> HttpResponse:
    """Say who uses the secret; a POST deletes it."""
    refused: EnvForgeError | None = None
    if request.method == "POST":
        org_id = organization(actor=visitor.actor, slug=slug).id
        try:
            operations.delete_secret(actor=visitor.actor, org_id=org_id, secret_id=secret_id)
        except (Conflict, Unavailable) as error:
            refused = error
        else:
            return see_other(reverse("secrets", args=[slug]))
    seen = selectors.secret(actor=visitor.actor, slug=slug, secret_id=secret_id)
    running = [use for use in seen.uses if use.running]
    context = {
        "seen": seen,
        "running": running,
        "refused": refused.detail if refused else "",
        "here": "secrets",
    }
    status = refused.status if refused else 200
    return page(request, visitor, "secrets/delete.html", context, about=seen, status=status)


@read_and_write
@signed_in
def take_up(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Import a parameter by its path."""
    given, wrong, status = {"path": ""}, {}, 200
    if request.method == "POST":
        given = {"path": request.POST.get("path", "").strip()}
        org_id = organization(actor=visitor.actor, slug=slug).id
        try:
            made = operations.import_secret(actor=visitor.actor, org_id=org_id, path=given["path"])
        except (Invalid, Conflict, Unavailable) as refused:
            wrong, status = _wrong(refused, field="path"), refused.status
            # What is no path of theirs may be a value in the wrong field.
            given = {
                "path": given["path"][:MAX_SHOWN_LENGTH] if given["path"].startswith("/envforge") else ""
            }
        else:
            return see_other(reverse("secret", args=[slug, made.id]))
    seen = selectors.secrets(actor=visitor.actor, slug=slug)
    context = {"seen": seen, "given": given, "wrong": wrong, "here": "secrets"}
    return page(request, visitor, "secrets/import.html", context, about=seen, status=status)


def _place(sent: str) -> UUID | None:
    if not sent:
        return None
    place = uuid_or_none(sent)
    if place is None:
        raise Invalid("That is none of the choices.", {"place": "Choose one of the list."})
    return place


def _wrong(refused: EnvForgeError, *, field: str = "value") -> dict[str, str]:
    if isinstance(refused, Invalid) and refused.fields:
        return refused.fields
    return {field: refused.detail}


def _answer_first(seen: Secrets) -> dict[str, Any]:
    """The sentence the reader came for, as numbers for the template's words."""
    return {
        "total": seen.total,
        "behind": seen.behind_total,
        "outside": sum(view.state in {State.CHANGED_OUTSIDE, State.DELETED_OUTSIDE} for view in seen.secrets),
    }
