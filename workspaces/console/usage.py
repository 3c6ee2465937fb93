"""The page of an organization's usage: awake hours, what woke whom, receipts, prices and caps."""

from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from envforge.cursors import write_cursor
from envforge.errors import Invalid
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import chosen, uuid_or_none
from orgs.selectors import Visitor, organization
from timeline.asked import Unreadable, read_place
from timeline.deliveries import delivers
from timeline.rows import Form
from workspaces import usage_files
from workspaces.cap_modes import CapMode
from workspaces.console.usage_pictures import chart, hours, lanes
from workspaces.console.words import ASLEEP_BECAUSE, short
from workspaces.months import Month
from workspaces.operations.caps import set_cap
from workspaces.selectors import usage as selectors
from workspaces.selectors.usage import CapView, DayUsage, Usage, WorkspaceUsage
from workspaces.selectors.windows import WindowView

MODES = [
    (CapMode.WARN.value, "Say so at 80 %"),
    (CapMode.STOP.value, "Say so at 80 %, and let nothing wake at the cap"),
    (CapMode.NONE.value, "No cap"),
]
MODE_SAYS = {CapMode.WARN: "warns", CapMode.STOP: "stops"}
CAP_STOOD = {"none": "", "warn": "a cap that warns", "stop": "a cap that stops"}
MAX_DIGITS = 7


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def usage(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """A month's usage; a POST sets a cap, and what was typed stays if it cannot be."""
    given = {"scope": "", "mode": CapMode.WARN.value, "hours": ""}
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        given = {name: request.POST.get(name, "")[:100] for name in given}
        try:
            set_cap(
                actor=visitor.actor,
                org_id=organization(actor=visitor.actor, slug=slug).id,
                mode=chosen(CapMode, given["mode"], field="mode"),
                hours=_hours(given),
                workspace_id=_scope(given["scope"]),
            )
        except Invalid as invalid:
            wrong, status = invalid.fields, invalid.status
        else:
            return see_other(reverse("usage", args=[slug]))
    asked, lost = _asked(request)
    seen = selectors.usage(actor=visitor.actor, slug=slug, **asked)
    context = {
        "here": "usage",
        "seen": seen,
        "lost": lost,
        "hours": hours(seen.part.seconds),
        "chart": chart(seen.days, (seen.month.ends - seen.month.begins).days, seen.month.first, seen.day),
        "days": [_day(one) for one in reversed(seen.days) if one.windows],
        "workspaces": [_workspace(one) for one in seen.workspaces],
        "windows": [_window(one, seen) for one in seen.windows],
        "lanes": lanes(seen.windows, seen.day, seen.now) if seen.day and seen.windows else None,
        "caps": [_cap(one) for one in seen.caps],
        "previous": f"{seen.month.previous}",
        "following": f"{seen.month.next}" if seen.month < seen.present else "",
        "only": str(seen.only.id) if seen.only else "",
        "older": _query(seen, before=write_cursor(seen.older)) if seen.older else "",
        "newest": _query(seen) if asked["before"] else "",
        "scopes": [("", "All workspaces together"), *((str(one.id), one.name) for one in seen.cap_choices)],
        "modes": MODES,
        "given": given,
        "wrong": wrong,
    }
    return page(
        request, visitor, "workspaces/usage.html", context, about=seen, status=422 if lost else status
    )


@delivers
@require_POST
@signed_in
def export(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """A month's receipts as a file."""
    try:
        month = Month.named(request.POST.get("month", ""))
    except ValueError:
        raise Invalid(
            "There is no such month.", {"month": "Use a year and a month, such as 2026-11."}
        ) from None
    return usage_files.order(
        actor=visitor.actor,
        slug=slug,
        form=chosen(Form, request.POST.get("form", ""), field="form"),
        month=month,
        workspace_id=uuid_or_none(request.POST.get("workspace", "")),
    )


def _asked(request: HttpRequest) -> tuple[dict[str, Any], bool]:
    """What the address asks for, and whether some of it names nothing."""
    lost = False
    month = day = before = None
    try:
        month = Month.named(request.GET["month"]) if request.GET.get("month") else None
        if request.GET.get("day"):
            asked = date.fromisoformat(request.GET["day"])
            month, day = Month.of_day(asked), asked
        before = read_place(request.GET.get("before", ""))
    except (ValueError, Unreadable):
        lost = True
    workspace_id = uuid_or_none(request.GET.get("workspace", ""))
    return {"month": month, "day": day, "before": before, "workspace_id": workspace_id}, lost


def _query(seen: Usage, *, before: str = "") -> str:
    given = {
        "month": str(seen.month),
        "day": str(seen.day or ""),
        "workspace": str(seen.only.id) if seen.only else "",
        "before": before,
    }
    return f"?{urlencode({name: value for name, value in given.items() if value})}"


def _day(one: DayUsage) -> dict[str, Any]:
    return {"view": one, "hours": hours(one.part.seconds), "sizes": _sizes(one)}


def _workspace(one: WorkspaceUsage) -> dict[str, Any]:
    return {"view": one, "hours": hours(one.part.seconds), "sizes": _sizes(one)}


def _sizes(one: DayUsage | WorkspaceUsage) -> list[str]:
    """Hours at each size, as a cell of each."""
    return [
        hours(one.sizes[size].seconds) if size in one.sizes else "" for size in ("small", "medium", "large")
    ]


def _window(one: WindowView, seen: Usage) -> dict[str, Any]:
    """A receipt as its row says it; times of another day than the one that is shown have their date."""
    began, ended = one.opened_at, one.closed_at
    return {
        "view": one,
        "began": _at(began, seen.day),
        "ended": _at(ended, seen.day or began.date()) if ended else "",
        "cause": short(one.cause),
        "because": ASLEEP_BECAUSE.get(one.end_cause, ""),
        "cap": CAP_STOOD.get(one.cap_mode, ""),
    }


def _at(at: datetime, day: date | None) -> str:
    return f"{at:%H:%M}" if at.date() == day else f"{at.day} {at:%b} {at:%H:%M}"


def _cap(one: CapView) -> dict[str, Any]:
    near = one.percent >= 80
    return {
        "view": one,
        "used": hours(one.used_s),
        "says": MODE_SAYS[one.mode],
        "dot": "danger" if one.reached and one.mode is CapMode.STOP else "waking" if near else "awake",
        "width": min(one.percent, 100),
    }


def _hours(given: dict[str, str]) -> int | None:
    text = given["hours"].strip()
    if given["mode"] == CapMode.NONE.value or not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS:
        raise Invalid("A cap needs its hours.", {"hours": "Use a whole number of hours."})
    return int(text)


def _scope(text: str) -> UUID | None:
    found = uuid_or_none(text)
    if text and found is None:
        raise Invalid("That is none of the choices.", {"scope": "Choose one of the list."})
    return found
