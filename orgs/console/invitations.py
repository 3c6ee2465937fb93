"""Invitations: taken back by members who may, accepted by whoever they are for."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from envforge.errors import Conflict, NotVisible
from orgs import operations, selectors
from orgs.console.door import page, see_other, signed_in
from orgs.links import invitation_in
from orgs.roles import SAYS, Role
from orgs.selectors import Visitor


@require_POST
@signed_in
def take_back(_request: HttpRequest, visitor: Visitor, slug: str, invitation_id: UUID) -> HttpResponse:
    """End an open invitation; its link stops working."""
    organization = selectors.organization(actor=visitor.actor, slug=slug)
    operations.revoke_invitation(actor=visitor.actor, org_id=organization.id, invitation_id=invitation_id)
    return see_other(reverse("members", args=[slug]))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def invitation(request: HttpRequest, visitor: Visitor, signed: str) -> HttpResponse:
    """What one is invited to; a POST accepts."""
    invitation_id = invitation_in(signed)
    if invitation_id is None:
        raise NotVisible
    status = 200
    if request.method == "POST":
        try:
            organization = operations.accept_invitation(
                actor=visitor.actor, invitation_id=invitation_id, person=visitor.person
            )
        except Conflict as conflict:
            status = conflict.status  # the page says which, as it would have before
        else:
            return see_other(reverse("organization", args=[organization.slug]))
    seen = selectors.invitation(person=visitor.person, invitation_id=invitation_id)
    context = {"seen": seen, "role_says": SAYS[Role(seen.role)]}
    return page(request, visitor, "members/invitation.html", context, status=status)
