"""The pages about an organization's VMs."""

from urllib.parse import urlencode

from django.http import FileResponse, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from envforge.cursors import write_cursor
from hosts import operations, selectors
from hosts.asked import read_form, read_period, read_place
from orgs.console.door import page, see_other, signed_in
from orgs.selectors import Visitor


@require_safe
@signed_in
def hosts(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Which VMs there are, whose, and who is on them; below, who was."""
    asked = read_period(request.GET.dict())
    before = read_place(request.GET.get("before", ""))
    seen = selectors.hosts(actor=visitor.actor, slug=slug)
    past = selectors.placements(actor=visitor.actor, slug=slug, period=asked.period, before=before)
    query = {name: text for name, text in asked.given.items() if name not in asked.wrong}
    context = {
        "here": "hosts",
        "seen": seen,
        "ready": sum(host.state == "ready" for host in seen.hosts),
        "asleep": sum(host.state == "asleep" for host in seen.hosts),
        "past": past,
        "given": asked.given,
        "wrong": asked.wrong,
        "filtered": bool(asked.given),
        "older": f"?{urlencode({**query, 'before': write_cursor(past.older)})}" if past.older else "",
        "deep": before is not None,
    }
    return page(request, visitor, "hosts/hosts.html", context, about=seen, status=422 if asked.wrong else 200)


@require_POST
@signed_in
def vm_per_workspace(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """Choose whether every workspace gets VMs of its own."""
    seen = selectors.hosts(actor=visitor.actor, slug=slug)
    operations.set_vm_per_workspace(
        actor=visitor.actor, org_id=seen.organization.id, wanted=request.POST.get("wanted") == "on"
    )
    return see_other(reverse("hosts", args=[slug]))


@require_POST
@signed_in
def export(request: HttpRequest, visitor: Visitor, slug: str) -> FileResponse:
    """The history of the form's period, as a file."""
    period = read_period(request.POST.dict()).required()
    form = read_form(request.POST.get("format", ""))
    made = selectors.export_placements(actor=visitor.actor, slug=slug, form=form, period=period)
    return FileResponse(
        made.file, as_attachment=True, filename=form.file_name(slug), content_type=form.content_type
    )
