"""The address of an invitation: signed, and stored nowhere."""

from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from envforge.secret_value import SecretValue
from orgs.memberships import is_open
from orgs.models import Invitation

_SIGNER = Signer(salt="orgs.invitation")


def invitation_link(invitation_id: UUID) -> SecretValue | None:
    """The address to mail for an open invitation of the entered organization; None when nothing is left to accept.

    It lets nobody in by itself: accepting takes a sign-in with the invited address, verified.
    """
    invitation = Invitation.objects.select_related("invited_by").filter(id=invitation_id).first()
    if invitation is None or not is_open(invitation):
        return None
    return SecretValue(f"{settings.CONSOLE_URL}{invitation_path(invitation_id)}")


def invitation_path(invitation_id: UUID) -> str:
    """The same within the console."""
    return reverse("invitation", args=[_SIGNER.sign(str(invitation_id))])


def invitation_in(signed: str) -> UUID | None:
    """The invitation that an address leads to; None if we never signed it."""
    try:
        return UUID(_SIGNER.unsign(signed))
    except (BadSignature, ValueError):
        return None
