"""The list of workspaces and the page of one: its states, why it is awake, and what can be done about it."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.sentences import sentence
from envforge.errors import Conflict, EnvForgeError, Invalid
from hosts.choices import Size
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import uuid_or_none
from orgs.policy import Action
from orgs.selectors import Visitor, organization
from workspaces.causes import WakeCause
from workspaces.console import words
from workspaces.console.pictures import picture
from workspaces.operations import runtimes
from workspaces.operations import workspaces as lifecycle
from workspaces.selectors import listed, one
from workspaces.selectors.listed import Listed
from workspaces.selectors.one import OneWorkspace
from workspaces.states import State

read_and_write = require_http_methods(["GET", "HEAD", "POST"])
MAX_SHOWN_LENGTH = 200
IDLE_CHOICES_S = (300, 900, 1800, 3600, 4 * 3600, 12 * 3600)


@read_and_write
@signed_in
def workspaces(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The workspaces, page by page; a POST opens one."""
    given = {"project": request.GET.get("project", ""), "branch": ""}
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        given = {name: request.POST.get(name, "")[:MAX_SHOWN_LENGTH] for name in given}
        try:
            opened = lifecycle.open_workspace(
                actor=visitor.actor,
                org_id=organization(actor=visitor.actor, slug=slug).id,
                project_id=_project(given["project"]),
                branch=given["branch"].strip(),
            )
        except (Invalid, Conflict) as refused:
            wrong, status = _wrong(refused), refused.status
        else:
            return see_other(reverse("workspace", args=[slug, opened.id]))
    after = uuid_or_none(request.GET.get("after", ""))
    archived = request.GET.get("show") == "archived"
    seen = listed.workspaces(actor=visitor.actor, slug=slug, after=after, archived=archived)
    context = {
        "here": "workspaces",
        "seen": seen,
        "rows": [_row(view) for view in seen.workspaces],
        "choices": [(str(project.id), project.name) for project in seen.may_open_in],
        "archived": archived,
        "paged": after is not None,
        "first_page": "?show=archived" if archived else reverse("workspaces", args=[slug]),
        "next_page": _query(after=seen.next_after, show="archived" if archived else ""),
        "given": given,
        "wrong": wrong,
    }
    return page(request, visitor, "workspaces/list.html", context, about=seen, status=status)


@require_safe
@signed_in
def workspace(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> HttpResponse:
    """One workspace, live."""
    return _page_of(request, visitor, slug, workspace_id)


@require_POST
@signed_in
def wake(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> HttpResponse:
    """Ask for its runtime to be awake."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    try:
        runtimes.wake_runtime(
            actor=visitor.actor, org_id=org_id, workspace_id=workspace_id, cause=WakeCause.CONSOLE
        )
    except Conflict as refused:
        return _page_of(request, visitor, slug, workspace_id, refused)
    return see_other(reverse("workspace", args=[slug, workspace_id]))


@require_POST
@signed_in
def sleep(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> HttpResponse:
    """Ask for its runtime to be asleep."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    try:
        runtimes.sleep_runtime(actor=visitor.actor, org_id=org_id, workspace_id=workspace_id)
    except Conflict as refused:
        return _page_of(request, visitor, slug, workspace_id, refused)
    return see_other(reverse("workspace", args=[slug, workspace_id]))


@require_POST
@signed_in
def change(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> HttpResponse:
    """Choose its size, and after how long it falls asleep; empty for what its contracts ask for."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    size, idle = request.POST.get("size", ""), request.POST.get("idle", "")
    known = {str(one) for one in IDLE_CHOICES_S}
    if (size and size not in Size.values) or (idle and idle not in known):
        field = "size" if size and size not in Size.values else "idle"
        raise Invalid("That is none of the choices.", {field: "Choose one of the list."})
    try:
        lifecycle.choose_size(
            actor=visitor.actor,
            org_id=org_id,
            workspace_id=workspace_id,
            size=Size(size) if size else None,
        )
        lifecycle.choose_idle_timeout(
            actor=visitor.actor,
            org_id=org_id,
            workspace_id=workspace_id,
            seconds=int(idle) if idle else None,
        )
    except Conflict as refused:
        return _page_of(request, visitor, slug, workspace_id, refused)
    return see_other(reverse("workspace", args=[slug, workspace_id]))


@read_and_write
@signed_in
def close(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> HttpResponse:
    """Say what archiving and deleting will do; a POST does one of them."""
    refused: EnvForgeError | None = None
    if request.method == "POST":
        org_id = organization(actor=visitor.actor, slug=slug).id
        act = request.POST.get("act", "")
        if act not in {"archive", "delete"}:
            raise Invalid("That is none of the choices.", {"act": "Choose archive or delete."})
        try:
            if act == "archive":
                lifecycle.archive_workspace(actor=visitor.actor, org_id=org_id, workspace_id=workspace_id)
            else:
                lifecycle.delete_workspace(actor=visitor.actor, org_id=org_id, workspace_id=workspace_id)
        except Conflict as error:
            refused = error
        else:
            return see_other(reverse("workspaces", args=[slug]))
    seen = one.workspace(actor=visitor.actor, slug=slug, workspace_id=workspace_id)
    context = {
        "here": "workspaces",
        "seen": seen,
        "archive": seen.may[Action.WORKSPACE_ARCHIVE],
        "delete": seen.may[Action.WORKSPACE_DELETE],
        "dirty": [checkout for checkout in seen.checkouts if checkout.dirty],
        "refused": refused.detail if refused else "",
    }
    status = refused.status if refused else 200
    return page(request, visitor, "workspaces/close.html", context, about=seen, status=status)


@require_POST
@signed_in
def restore(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> HttpResponse:
    """Take an archived workspace up again."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    try:
        lifecycle.restore_workspace(actor=visitor.actor, org_id=org_id, workspace_id=workspace_id)
    except Conflict as refused:
        return _page_of(request, visitor, slug, workspace_id, refused)
    return see_other(reverse("workspace", args=[slug, workspace_id]))


@require_safe
@signed_in
def receipt(
    request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID, epoch: int
) -> HttpResponse:
    """The readiness receipt of one wake."""
    seen, found = one.receipt(actor=visitor.actor, slug=slug, workspace_id=workspace_id, epoch=epoch)
    context = {
        "here": "workspaces",
        "seen": seen,
        "wake": found,
        "cause": words.short(found.cause),
        "slept": words.ASLEEP_BECAUSE.get(found.end_cause, found.end_cause),
        "services": [
            {**service, "words": words.HEALTH.get(service["health"], ("", ""))} for service in found.services
        ],
    }
    return page(request, visitor, "workspaces/receipt.html", context, about=seen)


def _page_of(
    request: HttpRequest,
    visitor: Visitor,
    slug: str,
    workspace_id: UUID,
    refused: EnvForgeError | None = None,
) -> HttpResponse:
    seen = one.workspace(actor=visitor.actor, slug=slug, workspace_id=workspace_id, parts=True)
    state, dot = words.STATES[seen.now.state]
    shell, shell_dot = words.SHELLS[seen.now.shell]
    latest = seen.wakes[0] if seen.wakes else None
    context = {
        "here": "workspaces",
        "seen": seen,
        "refused": refused.detail if refused else "",
        "state": state,
        "dot": dot,
        "shell": shell,
        "shell_dot": shell_dot,
        "headline": _headline(seen),
        "latest": latest,
        "woken_by": words.short(latest.cause) if latest else "",
        "slept_because": words.ASLEEP_BECAUSE.get(latest.end_cause, "") if latest else "",
        "picture": picture(seen),
        "services": [
            {"view": view, "words": words.HEALTH.get(view.health, (view.health, ""))}
            for view in seen.services
        ],
        "wake": seen.may[Action.RUNTIME_WAKE],
        "sleep": seen.may[Action.RUNTIME_SLEEP],
        "archive": seen.may[Action.WORKSPACE_ARCHIVE],
        "is_up": seen.now.state in {State.AWAKE, State.WAKING},
        "can_wake": seen.now.state in {State.ASLEEP, State.FAILED, State.FALLING_ASLEEP},
        "moves": seen.now.state in {State.WAKING, State.FALLING_ASLEEP, State.DELETING},
        "told": [
            {"at": event.at, "kind": event.kind, "pieces": sentence(event)} for event in seen.events or []
        ],
        "main_parts": [part for part in seen.parts if part.column == "main"],
        "side_parts": [part for part in seen.parts if part.column == "side"],
        "sizes": [("", "As its contracts ask"), *((str(size.value), str(size.label)) for size in Size)],
        "idle_now": str(seen.workspace.idle_timeout_s or ""),
        "idles": [("", "As its contracts ask"), *((str(s), _length(s)) for s in IDLE_CHOICES_S)],
    }
    status = refused.status if refused else 200
    return page(request, visitor, "workspaces/one.html", context, about=seen, status=status)


def _headline(seen: OneWorkspace) -> str:
    """The sentence its reader came for."""
    runtime = seen.runtime
    match seen.now.state:
        case State.AWAKE:
            return words.because(runtime.active_cause or runtime.wanted_cause)
        case State.WAKING:
            return "It is waking"
        case State.FALLING_ASLEEP:
            return "It is falling asleep"
        case State.FAILED:
            return "It could not wake"
        case State.ARCHIVED:
            return "It is archived"
        case State.DELETING | State.DELETED:
            return "It is deleted"
        case _:
            return "It sleeps, and the meter stands" if seen.wakes else "It was never awake"


def _row(view: Listed) -> dict[str, Any]:
    says, dot = words.STATES[view.now.state]
    return {"view": view, "says": says, "dot": dot, "why": words.short(view.why)}


def _length(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds < 3600 else f"{seconds // 3600} h"


def _project(sent: str) -> UUID:
    project = uuid_or_none(sent)
    if project is None:
        raise Invalid("A workspace belongs to a project.", {"project": "Choose one of the list."})
    return project


def _wrong(refused: EnvForgeError) -> dict[str, str]:
    if isinstance(refused, Invalid) and refused.fields:
        return refused.fields
    return {"branch": refused.detail}


def _query(**given: object) -> str:
    return f"?{urlencode({name: str(value) for name, value in given.items() if value})}"
