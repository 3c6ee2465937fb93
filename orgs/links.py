"""Where mails of this app lead."""

from uuid import UUID

from django.conf import settings
from django.core import signing
from django.utils import timezone

from envforge.secret_value import SecretValue
from orgs.models import Invitation

_SIGNER = signing.Signer(salt="envforge.invitation")


def invitation_link(invitation_id: UUID) -> SecretValue | None:
    """The address of an open invitation of the entered organization; None when there is nothing left to accept.

    It is signed, and made when the mail is sent. It lets nobody in by itself: accepting takes a sign-in with the
    invited address, verified.
    """
    open_ones = Invitation.objects.filter(accepted_at=None, ended_at=None, expires_at__gt=timezone.now())
    if not open_ones.filter(id=invitation_id).exists():
        return None
    return SecretValue(f"{settings.CONSOLE_URL}/invitations/{_SIGNER.sign(invitation_id.hex)}")


def invitation_in(signed: str) -> UUID | None:
    """The invitation that an address leads to; None if it was altered or is not ours."""
    try:
        return UUID(hex=_SIGNER.unsign(signed))
    except (signing.BadSignature, ValueError):
        return None
