"""Where inputs come from, and how resources are provided (W1, W3)."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from envforge.errors import Conflict, Invalid, NotVisible
from envforge_protocol.contract.resources import PROPERTIES, SECRET_PROPERTIES
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import chosen, uuid_or_none
from orgs.policy import Action
from orgs.selectors import Visitor
from projects import operations, selectors
from projects.choices import Cleanup, Mode, Source
from projects.console.words import KINDS, MAX_SHOWN_LENGTH, secret_choices
from projects.operations.bindings import MAX_LITERAL
from projects.operations.resources import MAX_OWNER, MAX_TEXT, PROVIDED, Given
from projects.selectors import BindingView, OneRepository, ResourceView

read_and_write = require_http_methods(["GET", "HEAD", "POST"])


@read_and_write
@signed_in
def binding(
    request: HttpRequest, visitor: Visitor, slug: str, project: str, repository: str, name: str
) -> HttpResponse:
    """Where an input comes from; a POST says so, or forgets it."""
    seen = selectors.repository(actor=visitor.actor, slug=slug, project=project, name=repository)
    view = next((one for one in seen.repository.inputs if one.name == name), None)
    if view is None:
        raise NotVisible
    given, wrong, status = _value_of(view), "", 200
    if request.method == "POST":
        given = request.POST.get("value", "")[:MAX_LITERAL]
        try:
            _bind(visitor, seen, view, request)
        except Invalid as invalid:
            wrong, status = next(iter(invalid.fields.values()), invalid.detail), invalid.status
            given = _value_of(view)
        except Conflict as conflict:
            wrong, status = conflict.detail, conflict.status
        else:
            return see_other(reverse("project", args=[slug, project]))
    context = {
        "seen": seen,
        "input": view,
        "kind": KINDS[view.kind],
        "may": seen.may[Action.BINDING_CHANGE],
        "choices": _choices(seen, view),
        "typed": view.kind in {"literal", "url"},
        "longest": MAX_LITERAL,
        "given": given,
        "wrong": wrong,
        "here": "projects",
    }
    return page(request, visitor, "projects/binding.html", context, about=seen, status=status)


def _bind(visitor: Visitor, seen: OneRepository, view: BindingView, request: HttpRequest) -> None:
    told: dict[str, Any] = {
        "actor": visitor.actor,
        "org_id": seen.organization.id,
        "repository_id": seen.repository.id,
        "name": view.name,
    }
    if request.POST.get("forget"):
        operations.unbind_input(**told)
        return
    value = request.POST.get("value", "")
    if view.kind in {"literal", "url"}:
        operations.bind_input(**told, source=Source.LITERAL, literal=value)
    elif view.kind == "route":
        leads = next((one.id for one in seen.others if one.name == value), None)
        operations.bind_input(**told, source=Source.ROUTE, route_to_id=leads)
    elif value.startswith("resource:"):
        operations.bind_input(
            **told, source=Source.RESOURCE, resource=value.removeprefix("resource:")[:MAX_SHOWN_LENGTH]
        )
    else:
        operations.bind_input(**told, source=Source.SECRET, secret_id=uuid_or_none(value))


def _value_of(view: BindingView) -> str:
    """What the form has chosen while nothing else was."""
    if view.source == Source.RESOURCE:
        return f"resource:{view.resource}"
    return str(view.secret_id or "") or view.route_to or view.literal


def _choices(seen: OneRepository, view: BindingView) -> list[tuple[str, str]]:
    if view.kind == "route":
        return [(one.name, f"the service of {one.name}") for one in seen.others]
    if view.kind != "secret":
        return []
    provided = [
        (f"resource:{one.name}.{field}", f"{one.name}.{field}, which you provide")
        for one in seen.repository.resources
        if one.mode == Mode.CUSTOMER_PROVIDED
        for field in PROPERTIES[one.type]
    ]
    return [*secret_choices(seen.secrets), *provided]


@read_and_write
@signed_in
def resource(
    request: HttpRequest, visitor: Visitor, slug: str, project: str, repository: str, name: str
) -> HttpResponse:
    """How a resource is provided; a POST says so."""
    seen = selectors.repository(actor=visitor.actor, slug=slug, project=project, name=repository)
    view = next((one for one in seen.repository.resources if one.name == name), None)
    if view is None:
        raise NotVisible
    given = {
        "mode": view.mode or Mode.MANAGED_LOCAL.value,
        "owner": view.owner or visitor.person.name,
        "ready_within_s": str(view.ready_within_s),
        "cleanup": view.cleanup,
        "request": view.request,
        **{f"values.{one.property}": str(one.secret_id or one.literal) for one in view.values},
    }
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        fields = [*given, *(f"values.{field}" for field in PROPERTIES[view.type])]
        sent = {field: request.POST.get(field, "")[:MAX_TEXT].strip() for field in fields}
        try:
            _provide(visitor, seen, view, sent)
        except Invalid as invalid:
            wrong, status = invalid.fields, invalid.status
            # What was refused may be a credential in the wrong field.
            given = sent | {field: given.get(field, "") for field in wrong}
        except Conflict as conflict:
            wrong, status, given = {"mode": conflict.detail}, conflict.status, sent
        else:
            return see_other(reverse("project", args=[slug, project]))
    context = {
        "seen": seen,
        "resource": view,
        "may": seen.may[Action.RESOURCE_MODE_CHANGE],
        "modes": [one for one in Mode.choices if not (view.required and one[0] == Mode.DISABLED)],
        "cleanups": Cleanup.choices,
        "properties": _properties(seen, view, given, wrong),
        "longest_owner": MAX_OWNER,
        "given": given,
        "wrong": wrong,
        "here": "projects",
    }
    return page(request, visitor, "projects/resource.html", context, about=seen, status=status)


def _provide(visitor: Visitor, seen: OneRepository, view: ResourceView, sent: dict[str, str]) -> None:
    mode = chosen(Mode, sent["mode"], field="mode")
    try:
        ready_within_s = int(sent["ready_within_s"])
    except ValueError:
        words = "Give a whole number of seconds."
        raise Invalid(words, {"ready_within_s": words}) from None
    # The form shows these for the modes that take them, and for no other.
    values = {
        field: given
        for field in (PROPERTIES[view.type] if mode in PROVIDED else ())
        if (given := _given(view, field, sent[f"values.{field}"]))
    }
    operations.set_resource_mode(
        actor=visitor.actor,
        org_id=seen.organization.id,
        repository_id=seen.repository.id,
        resource=view.name,
        mode=mode,
        owner=sent["owner"],
        ready_within_s=ready_within_s,
        cleanup=chosen(Cleanup, sent["cleanup"], field="cleanup"),
        request=sent["request"] if mode is Mode.CUSTOMER_CLOUD else "",
        values=values,
    )


def _given(view: ResourceView, field: str, sent: str) -> Given | None:
    if not sent:
        return None
    if field not in _secret_fields(view):
        return Given(literal=sent)
    secret_id = uuid_or_none(sent)
    if secret_id is None:
        raise Invalid("That is none of the choices.", {f"values.{field}": "Choose one of the list."})
    return Given(secret_id=secret_id)


def _secret_fields(view: ResourceView) -> frozenset[str]:
    """The properties for which one chooses a secret: those with a credential, and those that are one now."""
    return SECRET_PROPERTIES | {one.property for one in view.values if one.secret_id}


def _properties(
    seen: OneRepository, view: ResourceView, given: dict[str, str], wrong: dict[str, str]
) -> list[dict[str, Any]]:
    choices = secret_choices(seen.secrets, none="Not given")
    return [
        {
            "name": f"values.{field}",
            "id": f"value-{field}",
            "label": field.replace("_", " "),
            "given": given.get(f"values.{field}", ""),
            "wrong": wrong.get(f"values.{field}", ""),
            "choices": choices if field in _secret_fields(view) else [],
        }
        for field in PROPERTIES[view.type]
    ]
