"""The page of an organization's VMs: which there are, who is on them, and who was."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from envforge.cursors import write_cursor
from envforge.errors import Invalid
from hosts import exports, operations, selectors
from hosts.selectors import HostView, State
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import chosen, uuid_or_none
from orgs.selectors import Visitor, organization
from timeline.asked import Unreadable, read_place
from timeline.deliveries import delivers
from timeline.rows import Form

# What a state says, with the colour it has (see the design tokens).
STATES = {
    State.RUNNING: ("running", "awake"),
    State.STARTING: ("on its way", "waking"),
    State.STOPPING: ("stopping", "waking"),
    State.STOPPED: ("stopped until a workspace wakes", "asleep"),
    State.RESTARTING: ("being started again", "waking"),
    State.REPLACING: ("being replaced", "waking"),
    State.ENDING: ("being ended", "waking"),
}
CHOICES = {"on": True, "off": False}
MOST_NAMED = 8


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def hosts(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The VMs and the placement history; a POST chooses whether every workspace gets VMs of its own."""
    if request.method == "POST":
        org_id = organization(actor=visitor.actor, slug=slug).id
        wanted = CHOICES.get(request.POST.get("vm_per_workspace", ""))
        if wanted is None:
            raise Invalid("That is none of the choices.", {"vm_per_workspace": "Choose on or off."})
        operations.set_vm_per_workspace(actor=visitor.actor, org_id=org_id, wanted=wanted)
        return see_other(reverse("hosts", args=[slug]))
    after = uuid_or_none(request.GET.get("after", ""))
    try:
        before, lost = read_place(request.GET.get("before", "")), False
    except Unreadable:
        before, lost = None, True
    seen = selectors.hosts(actor=visitor.actor, slug=slug, after=after, before=before)
    context = {
        "here": "hosts",
        "seen": seen,
        "rows": [_row(view) for view in seen.hosts],
        "resting": seen.total - seen.running,
        "more_hosts": _query(after=seen.next_after, before=request.GET.get("before") if before else None),
        "older": _query(after=after, before=write_cursor(seen.history.older) if seen.history.older else None),
        "newest": _query(after=after),
        "first_hosts": _query(before=request.GET.get("before") if before else None),
        "paged": after is not None,
        "deep": before is not None,
        "lost": lost,
    }
    return page(request, visitor, "hosts/list.html", context, about=seen, status=422 if lost else 200)


@delivers
@require_POST
@signed_in
def export(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The whole placement history as a file."""
    form = chosen(Form, request.POST.get("form", ""), field="form")
    return exports.order(actor=visitor.actor, slug=slug, form=form)


def _row(view: HostView) -> dict[str, Any]:
    says, dot = STATES[view.state]
    return {
        "view": view,
        "says": says,
        "dot": dot,
        "awake": ", ".join(view.awake[:MOST_NAMED]),
        "more_awake": len(view.awake[MOST_NAMED:]),
    }


def _query(*, after: UUID | None = None, before: str | None = None) -> str:
    given = {name: str(value) for name, value in (("after", after), ("before", before)) if value}
    return f"?{urlencode(given)}"
