"""Commands in the console: what was run, one run with its output as it comes, and running another."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envforge.errors import Conflict, EnvForgeError, Invalid
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import uuid_or_none
from orgs.policy import Action
from orgs.selectors import Visitor, organization
from workspaces.operations.commands import cancel_run, run_command
from workspaces.runs_api import read_filter
from workspaces.selectors import commands
from workspaces.selectors.commands import PART_BYTES, Choice, RunView

LONGEST_TYPED = 4000
STATES = {
    "waits": ("waits for the runtime", "waking"),
    "runs": ("runs", "awake"),
    "ok": ("succeeded", "awake"),
    "failed": ("failed", "failed"),
}
KINDS = {"setup": "setup", "test": "test", "service": "command", "agent": "written"}
ENDS = (("", "However it ended"), ("open", "Not over yet"), ("ok", "Succeeded"), ("failed", "Failed"))
TYPES = (("", "Every kind"), *((kind, words) for kind, words in KINDS.items()))
# Colours and cursor movements of terminals, and what no text shows.
_UNSHOWN = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def runs(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> HttpResponse:
    """The receipts, filtered and page by page; a POST runs a command."""
    wrong: dict[str, str] = {}
    status, refused = 200, ""
    if request.method == "POST":
        try:
            made = _run(request, visitor, slug, workspace_id)
        except Invalid as error:
            wrong, status, refused = error.fields, error.status, error.detail
        except Conflict as error:
            status, refused = error.status, error.detail
        else:
            return see_other(reverse("run", args=[slug, workspace_id, made]))
    asked = request.GET
    only, problem = _filter(asked)
    after = uuid_or_none(asked.get("after", ""))
    seen = commands.runs(actor=visitor.actor, slug=slug, workspace_id=workspace_id, only=only, after=after)
    given = {name: asked.get(name, "")[:200] for name in ("service", "type", "who", "end")}
    context = {
        "here": "workspaces",
        "seen": seen,
        "rows": [row(view) for view in seen.runs],
        "choices": offered(seen.choices),
        "may_run": seen.may[Action.COMMAND_RUN].allowed,
        "services": [("", "Every service"), *((name, name) for name in seen.services)],
        "own_services": [(name, name) for name in seen.services],
        "types": TYPES,
        "ends": ENDS,
        "given": given,
        "typed": request.POST.get("line", "")[:LONGEST_TYPED],
        "wrong": wrong,
        "refused": refused or problem,
        "filtered": any(given.values()),
        "paged": after is not None,
        "next_page": _query(after=seen.next_after, **given) if seen.next_after else "",
        "moves": any(view.finished_at is None for view in seen.runs),
    }
    return page(request, visitor, "workspaces/runs.html", context, about=seen, status=status)


@require_safe
@signed_in
def run(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID, run_id: UUID) -> HttpResponse:
    """One receipt, with the end of its output as it comes."""
    seen = commands.run(actor=visitor.actor, slug=slug, workspace_id=workspace_id, run_id=run_id)
    may_read = seen.may[Action.COMMAND_OUTPUT_READ].allowed
    text, begins = "", 0
    if may_read:
        begins = max(seen.run.output_bytes - PART_BYTES, 0)
        part_of_it = commands.output(
            actor=visitor.actor, slug=slug, workspace_id=workspace_id, run_id=run_id, offset=begins
        )
        text = shown(part_of_it.data)
    context = {
        "here": "workspaces",
        "seen": seen,
        "row": row(seen.run),
        "text": text,
        "cut": begins > 0,
        "may_read": may_read,
        "may_cancel": seen.may[Action.COMMAND_RUN].allowed
        and seen.run.finished_at is None
        and not seen.run.cancelled_by,
        "moves": seen.run.finished_at is None,
    }
    return page(request, visitor, "workspaces/run.html", context, about=seen)


@require_safe
@signed_in
def output(
    request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID, run_id: UUID
) -> HttpResponse:
    """All of a command's output, as a file."""
    # At most what is kept of one command: a mebibyte.
    seen = commands.output(
        actor=visitor.actor, slug=slug, workspace_id=workspace_id, run_id=run_id, whole=True
    )
    answer = HttpResponse(seen.data, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{seen.run.type}-{run_id}.log"'
    return answer


@require_POST
@signed_in
def cancel(
    request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID, run_id: UUID
) -> HttpResponse:
    """Cancel a command."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    cancel_run(actor=visitor.actor, org_id=org_id, workspace_id=workspace_id, run_id=run_id)
    return see_other(reverse("run", args=[slug, workspace_id, run_id]))


def row(view: RunView) -> dict[str, Any]:
    """A receipt as rows of pages show it."""
    says, dot = STATES[view.state]
    if view.state == "failed" and view.exit_status is not None:
        says = f"exit {view.exit_status}"
    return {"view": view, "says": says, "dot": dot, "kind": KINDS[view.type]}


def offered(choices: list[Choice]) -> list[tuple[str, str]]:
    """What the contracts name, for a form's list."""
    return [
        (f"{one.type}/{one.service}/{one.name}", f"{one.service}: {one.name} ({KINDS[one.type]})")
        for one in choices
    ]


def shown(data: bytes) -> str:
    """Output as text on a page."""
    return _UNSHOWN.sub("", data.decode(errors="replace").replace("\r\n", "\n"))


def _run(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> UUID:
    org_id = organization(actor=visitor.actor, slug=slug).id
    kind, service, name = "agent", request.POST.get("service", ""), ""
    argv: tuple[str, ...] = ()
    if "what" in request.POST:
        kind, _, rest = request.POST["what"].partition("/")
        service, _, name = rest.partition("/")
        if kind not in {"test", "service"}:
            raise Invalid("That is none of the choices.", {"what": "Choose one of the list."})
    else:
        line = request.POST.get("line", "").strip()
        if not line or len(line) > LONGEST_TYPED:
            raise Invalid("There is no command.", {"argv": f"Write one, of at most {LONGEST_TYPED} letters."})
        argv = ("/bin/sh", "-c", line)
    return run_command(
        actor=visitor.actor,
        org_id=org_id,
        workspace_id=workspace_id,
        service=service[:63],
        type=kind,
        name=name[:80],
        argv=argv,
    ).id


def _filter(asked: Mapping[str, str]) -> tuple[commands.RunFilter, str]:
    try:
        return read_filter(asked), ""
    except EnvForgeError as wrong:
        return commands.RunFilter(), wrong.detail


def _query(**given: object) -> str:
    return f"?{urlencode({name: str(value) for name, value in given.items() if value})}"
