"""Suspending, restoring and removing members: what will be closed in numbers, the act, and its receipt, also later (I4)."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envforge.errors import Conflict
from orgs import operations, selectors
from orgs.console.door import page, see_other, signed_in
from orgs.console.members import member_page
from orgs.offboarding import Held
from orgs.selectors import Visitor

read_and_write = require_http_methods(["GET", "HEAD", "POST"])
# What a removal or suspension closes: one, and several.
WORDS: dict[Held, tuple[str, str]] = {
    "sessions": ("session in a browser, signed out", "sessions in browsers, signed out"),
    "tokens": ("service account's token, ended", "service accounts' tokens, ended"),
    "agents": ("agent that acts for them, removed", "agents that act for them, removed"),
    "invitations": ("open invitation they sent, taken back", "open invitations they sent, taken back"),
    "certificates": ("SSH certificate, withdrawn", "SSH certificates, withdrawn"),
    "dev_links": ("dev link, revoked", "dev links, revoked"),
    "dev_links_handed_over": ("dev link, handed over", "dev links, handed over"),
    "dev_sessions": ("reviewer's session, closed", "reviewers' sessions, closed"),
    "root_grants": ("root grant, ended", "root grants, ended"),
}


@read_and_write
@signed_in
def suspend(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """Say what a suspension closes; do it, and show the receipt."""
    return _close(request, visitor, slug, person_id, for_good=False)


@read_and_write
@signed_in
def remove(request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """Say what a removal closes; do it, and show the receipt."""
    return _close(request, visitor, slug, person_id, for_good=True)


@require_POST
@signed_in
def restore(_request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID) -> HttpResponse:
    """End a suspension."""
    organization = selectors.organization(actor=visitor.actor, slug=slug)
    operations.restore_member(actor=visitor.actor, org_id=organization.id, person_id=person_id)
    return see_other(reverse("member", args=[slug, person_id]))


@require_safe
@signed_in
def receipt(request: HttpRequest, visitor: Visitor, slug: str, event_id: UUID) -> HttpResponse:
    """What a removal or suspension closed, as long as the timeline keeps it."""
    seen = selectors.receipt(actor=visitor.actor, slug=slug, event_id=event_id)
    context = {"seen": seen, "closed": _told(seen.closed), "here": "members"}
    return page(request, visitor, "members/receipt.html", context, about=seen)


def _close(
    request: HttpRequest, visitor: Visitor, slug: str, person_id: UUID, *, for_good: bool
) -> HttpResponse:
    if request.method != "POST":
        leaving = selectors.leaving(actor=visitor.actor, slug=slug, person_id=person_id, for_good=for_good)
        context = {
            "seen": leaving.member,
            "for_good": for_good,
            "closes": _told(leaving.would_close),
            "here": "members",
        }
        return page(request, visitor, "members/confirm.html", context, about=leaving)
    organization = selectors.organization(actor=visitor.actor, slug=slug)
    operation = operations.remove_member if for_good else operations.suspend_member
    try:
        done = operation(actor=visitor.actor, org_id=organization.id, person_id=person_id)
    except Conflict as refused:
        return member_page(request, visitor, slug, person_id, refused=refused)
    if for_good and person_id == visitor.person.id:
        # Who has left sees the organization's name once more, and none of its pages.
        left = {"organization_name": organization.name, "closed": _told(done.closed)}
        return page(request, visitor, "members/left.html", left)
    if done.event_id is None:
        return see_other(reverse("member", args=[slug, person_id]))
    return see_other(reverse("receipt", args=[slug, done.event_id]))


def _told(counts: dict[Held, int]) -> list[tuple[int, str]]:
    """What there is, in numbers and words; of what there is not, nothing is said."""
    return [(counts[held], words[counts[held] != 1]) for held, words in WORDS.items() if counts.get(held)]
