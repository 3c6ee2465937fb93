"""Links: the list, one of them with its receipts, issuing one, and the organization's policy."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from devlinks import rules, selectors
from devlinks.operations import links as operations
from devlinks.operations.links import Issued
from devlinks.operations.policy import set_link_policy
from devlinks.rules import Rules
from devlinks.words import spoken
from envforge.errors import Conflict, EnvForgeError, Invalid
from orgs.console.door import page, see_other, signed_in
from orgs.console.forms import uuid_or_none
from orgs.selectors import Visitor, organization

read_and_write = require_http_methods(["GET", "HEAD", "POST"])
MAX_SHOWN_LENGTH = 500
LIFETIMES_S = (3600, 8 * 3600, 24 * 3600, 3 * 24 * 3600, 7 * 24 * 3600, 30 * 24 * 3600, 90 * 24 * 3600)
USUAL_S = 24 * 3600
# What each surface is, to whoever chooses.
SURFACES = {
    "web": "pages",
    "api": "API paths",
    "assets": "assets",
    "websockets": "WebSockets",
}
ISSUERS = {
    "workspace": "Everybody who works in the workspace",
    "operators": "Operators, maintainers and admins",
    "admins": "Admins and owners",
}
DOTS = {"open": "awake", "expired": "hollow", "revoked": "danger"}


@require_safe
@signed_in
def links(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """The links of the organization, page by page."""
    after = uuid_or_none(request.GET.get("after", ""))
    seen = selectors.links(actor=visitor.actor, slug=slug, after=after)
    context = {
        "here": "links",
        "seen": seen,
        "rows": [{"view": view, "dot": DOTS[view.state]} for view in seen.links],
        "open": sum(view.state == "open" for view in seen.links),
        "paged": after is not None,
        "longest": spoken(seen.rules.longest_s),
    }
    return page(request, visitor, "devlinks/list.html", context, about=seen)


@read_and_write
@signed_in
@sensitive_variables("issued")
def issue(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> HttpResponse:
    """Issue a link; a POST's answer alone shows its address."""
    seen = selectors.new_link(actor=visitor.actor, slug=slug, workspace_id=workspace_id)
    given: dict[str, Any] = {
        "service": seen.services[0].service if seen.services else "",
        "lifetime": str(min(USUAL_S, seen.rules.longest_s)),
        "name": "",
        "note": "",
        "wakes": "",
    }
    surfaces: tuple[str, ...] = seen.rules.surfaces
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        given = {name: request.POST.get(name, given[name])[:MAX_SHOWN_LENGTH] for name in given}
        surfaces = tuple(request.POST.getlist("surfaces")) or surfaces
        try:
            issued = operations.issue_dev_link(
                actor=visitor.actor,
                org_id=seen.organization.id,
                workspace_id=workspace_id,
                service=given["service"],
                lifetime=timedelta(seconds=_whole(given["lifetime"], "lifetime")),
                surfaces=surfaces,
                name=given["name"],
                note=given["note"],
                wakes_budget=_whole(given["wakes"], "wakes_budget") if given["wakes"] else None,
            )
        except (Invalid, Conflict) as refused:
            wrong, status = _wrong(refused, "service"), refused.status
        else:
            return _shown_once(request, visitor, slug, issued, "Copy the link now")
    context = {
        "here": "links",
        "seen": seen,
        "given": given,
        "chosen": set(surfaces),
        "wrong": wrong,
        "services": [(one.service, one.service) for one in seen.services],
        "lifetimes": _lifetimes(seen.rules),
        "surfaces": list(SURFACES.items()),
    }
    return page(request, visitor, "devlinks/new.html", context, about=seen, status=status)


@require_safe
@signed_in
def link(request: HttpRequest, visitor: Visitor, slug: str, link_id: UUID) -> HttpResponse:
    """One link."""
    return _page_of(request, visitor, slug, link_id)


@require_POST
@signed_in
def revoke(request: HttpRequest, visitor: Visitor, slug: str, link_id: UUID) -> HttpResponse:
    """End a link at once; its page shows the receipt as gateways acknowledge."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    operations.revoke_dev_link(actor=visitor.actor, org_id=org_id, link_id=link_id)
    return see_other(reverse("dev-link", args=[slug, link_id]))


@require_POST
@signed_in
def revoke_all(request: HttpRequest, visitor: Visitor, slug: str, workspace_id: UUID) -> HttpResponse:
    """End every open link of a workspace at once."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    operations.revoke_links_of_workspace(actor=visitor.actor, org_id=org_id, workspace_id=workspace_id)
    return see_other(reverse("workspace", args=[slug, workspace_id]))


@require_POST
@signed_in
@sensitive_variables("issued")
def rotate(request: HttpRequest, visitor: Visitor, slug: str, link_id: UUID) -> HttpResponse:
    """Give a link another address, shown once."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    try:
        issued = operations.rotate_dev_link(actor=visitor.actor, org_id=org_id, link_id=link_id)
    except Conflict as refused:
        return _page_of(request, visitor, slug, link_id, refused)
    return _shown_once(request, visitor, slug, issued, "Copy the new link now")


@require_POST
@signed_in
def allow(request: HttpRequest, visitor: Visitor, slug: str, link_id: UUID) -> HttpResponse:
    """Change what a link opens."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    try:
        operations.change_allowlist(
            actor=visitor.actor, org_id=org_id, link_id=link_id, surfaces=request.POST.getlist("surfaces")
        )
    except (Invalid, Conflict) as refused:
        return _page_of(request, visitor, slug, link_id, refused)
    return see_other(reverse("dev-link", args=[slug, link_id]))


@require_POST
@signed_in
@sensitive_variables("issued")
def extend(request: HttpRequest, visitor: Visitor, slug: str, link_id: UUID) -> HttpResponse:
    """Let a link live longer from now; its new address is shown once."""
    org_id = organization(actor=visitor.actor, slug=slug).id
    try:
        by = timedelta(seconds=_whole(request.POST.get("lifetime", ""), "lifetime"))
        issued = operations.extend_dev_link(
            actor=visitor.actor, org_id=org_id, link_id=link_id, expires_at=timezone.now() + by
        )
    except (Invalid, Conflict) as refused:
        return _page_of(request, visitor, slug, link_id, refused)
    return _shown_once(request, visitor, slug, issued, "Copy the longer link now")


@read_and_write
@signed_in
def policy(request: HttpRequest, visitor: Visitor, slug: str) -> HttpResponse:
    """What the organization allows of links; a POST changes it."""
    wrong: dict[str, str] = {}
    status = 200
    if request.method == "POST":
        before = selectors.link_rules(actor=visitor.actor, slug=slug).rules
        try:
            set_link_policy(
                actor=visitor.actor,
                org_id=organization(actor=visitor.actor, slug=slug).id,
                longest_s=_whole(request.POST.get("longest", ""), "longest_s"),
                issuers=request.POST.get("issuers", ""),
                surfaces=tuple(request.POST.getlist("surfaces")),
                wakes_budget=_whole(request.POST.get("wakes", ""), "wakes_budget"),
                awake_budget_s=_hours(request.POST.get("hours", ""), "awake_budget_s", before),
                workspace_wakes=_whole(request.POST.get("workspace_wakes", ""), "workspace_wakes"),
                workspace_awake_s=_hours(
                    request.POST.get("workspace_hours", ""), "workspace_awake_s", before
                ),
            )
        except Invalid as refused:
            wrong, status = refused.fields, refused.status
        else:
            return see_other(reverse("dev-link-policy", args=[slug]))
    seen = selectors.link_rules(actor=visitor.actor, slug=slug)
    current = seen.rules
    context = {
        "here": "links",
        "rules": current,
        "may": seen.set_policy,
        "wrong": wrong,
        "longest": spoken(current.longest_s),
        "hours": current.awake_budget_s // 3600,
        "workspace_hours": current.workspace_awake_s // 3600,
        "lifetimes": [(str(one), spoken(one)) for one in sorted({*LIFETIMES_S, current.longest_s})],
        "longest_s": str(current.longest_s),
        "issuers": list(ISSUERS.items()),
        "issuer_words": ISSUERS[current.issuers],
        "surfaces": list(SURFACES.items()),
        "chosen": set(current.surfaces),
    }
    return page(request, visitor, "devlinks/policy.html", context, about=seen, status=status)


def _page_of(
    request: HttpRequest,
    visitor: Visitor,
    slug: str,
    link_id: UUID,
    refused: EnvForgeError | None = None,
) -> HttpResponse:
    seen = selectors.link(actor=visitor.actor, slug=slug, link_id=link_id)
    left_s = int((seen.latest_end - timezone.now()).total_seconds())
    over_s = int((seen.link.expires_at - timezone.now()).total_seconds())
    words = next(iter(getattr(refused, "fields", {}).values()), refused.detail if refused else "")
    context = {
        "here": "links",
        "seen": seen,
        "dot": DOTS[seen.link.state],
        "refused": words,
        "chosen": set(seen.link.surfaces),
        # Who may give out no address may still close what the link opens.
        "surfaces": [
            (one, label) for one, label in SURFACES.items() if seen.issue.allowed or one in seen.link.surfaces
        ],
        "opens": [SURFACES[one] for one in seen.link.surfaces],
        "longer": [(str(one), spoken(one)) for one in LIFETIMES_S if over_s < one <= left_s],
    }
    status = refused.status if refused else 200
    return page(request, visitor, "devlinks/one.html", context, about=seen, status=status)


def _shown_once(
    request: HttpRequest, visitor: Visitor, slug: str, issued: Issued, title: str
) -> HttpResponse:
    seen = selectors.link(actor=visitor.actor, slug=slug, link_id=issued.link.id)
    context = {"here": "links", "seen": seen, "title": title, "address": issued.address.reveal_text()}
    response = page(request, visitor, "devlinks/address.html", context, about=seen)
    response["Cache-Control"] = "no-store"
    return response


def _lifetimes(allowed: Rules) -> list[tuple[str, str]]:
    offered = {one for one in LIFETIMES_S if one <= allowed.longest_s} | {allowed.longest_s}
    return [(str(one), spoken(one)) for one in sorted(offered)]


def _whole(text: str, field: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(rules.LONGEST_EVER_S))):
        raise Invalid("That is no number.", {field: "Use a whole number."})
    return int(text)


def _hours(text: str, field: str, before: Rules) -> int:
    """A field of whole hours, in seconds; as many as it showed leave a value that is no whole number of them as it is."""
    hours, kept = _whole(text, field), int(getattr(before, field))
    return kept if hours == kept // 3600 else hours * 3600


def _wrong(refused: EnvForgeError, field: str) -> dict[str, str]:
    if isinstance(refused, Invalid) and refused.fields:
        return refused.fields
    return {field: refused.detail}
