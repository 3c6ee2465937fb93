"""The timeline's pages."""

import re
from dataclasses import asdict
from itertools import groupby
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from envforge.cursors import write_cursor
from envforge.errors import Invalid
from orgs.console.door import page, recognise, signed_in
from orgs.selectors import Visitor
from timeline import selectors
from timeline.asked import Asked, Unreadable, read_filter, read_place
from timeline.deliveries import delivers, progress_of, timeline_order
from timeline.fields import fields
from timeline.rows import Form
from timeline.told import Told

_PROGRESS_NAME = re.compile(r"[0-9a-f-]{8,40}")


@require_safe
@signed_in
def timeline(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """What happened, by day; what cannot be read of the address is said beside its field, and the rest still holds."""
    asked = read_filter(request.GET.dict())
    lost = ""
    try:
        before = read_place(request.GET.get("before", ""))
    except Unreadable as unreadable:
        before, lost = None, str(unreadable)
    seen = selectors.timeline(actor=visitor.actor, slug=slug, wanted=asked.wanted, before=before)
    here = reverse("timeline", args=[slug])
    told = [Told(event) for event in seen.events]
    context = {
        "here": "timeline",
        "seen": seen,
        "asked": asked,
        "lost": lost,
        "fields": fields(asked, seen.actors, seen.targets),
        "days": [(day, list(events)) for day, events in groupby(told, key=lambda one: one.event.at.date())],
        "first_page": _address(here, asked),
        "older": _address(here, asked, before=write_cursor(seen.older)) if seen.older else "",
        "deep": before is not None,
        "arrived": _tail(slug, asked, told) if before is None else "",
    }
    return page(
        request, visitor, "timeline/timeline.html", context, about=seen, status=422 if asked.wrong else 200
    )


@require_safe
def arrived(request: HttpRequest, slug: str) -> HttpResponse:
    """How many events came since; asked by the page itself again and again, which is no use of the session."""
    visitor = recognise(request, in_use=False)
    if not isinstance(visitor, Visitor):
        return JsonResponse({"signed_in": False}, status=401)
    try:
        after = read_place(request.GET.get("after", ""))
    except Unreadable as unreadable:
        raise Invalid(str(unreadable), {"after": str(unreadable)}) from None
    if after is None:
        raise Invalid("Say after which place.", {"after": "This is needed."})
    wanted = read_filter(request.GET.dict()).required()
    count = selectors.arrived(actor=visitor.actor, slug=slug, wanted=wanted, after=after)
    return JsonResponse({"count": count, "more": count == selectors.MOST_COUNTED})


@delivers
@require_POST
@signed_in
def export(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The events that the form's filters want, as a file."""
    wanted = read_filter(request.POST.dict()).required()
    try:
        form = Form(request.POST.get("form", ""))
    except ValueError:
        raise Invalid("There is no such form of export.", {"form": "Choose jsonl or csv."}) from None
    progress = request.POST.get("progress", "")
    if progress and not _PROGRESS_NAME.fullmatch(progress):
        raise Invalid(
            "Progress cannot be told under this name.", {"progress": "Use 8 to 40 of 0-9, a-f and -."}
        )
    return timeline_order(actor=visitor.actor, slug=slug, wanted=wanted, form=form, progress=progress)


@require_safe
@signed_in
def export_progress(request: HttpRequest, visitor: Visitor, name: str) -> HttpResponse:
    """How far one of the visitor's own exports is."""
    return JsonResponse(asdict(progress_of(visitor.actor, name)))


def _address(path: str, asked: Asked, **besides: str) -> str:
    query = urlencode({**_readable(asked), **besides})
    return f"{path}?{query}" if query else path


def _readable(asked: Asked) -> dict[str, str]:
    return {name: text for name, text in asked.given.items() if name not in asked.wrong}


def _tail(slug: str, asked: Asked, told: list[Told]) -> str:
    """Where the page asks for news: what came after its first event, or from now on."""
    newest = (told[0].event.at, told[0].event.id) if told else (timezone.now(), UUID(int=0))
    return _address(reverse("timeline-arrived", args=[slug]), asked, after=write_cursor(newest))
