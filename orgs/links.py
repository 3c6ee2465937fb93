"""The link of an invitation: signed, stored nowhere; the signature is what makes it more than a guess."""

from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

_SIGNER = Signer(salt="orgs.invitation")


def invitation_link(invitation_id: UUID) -> str:
    """The whole address of the page on which the invited person accepts."""
    return f"{settings.CONSOLE_URL}{invitation_path(invitation_id)}"


def invitation_path(invitation_id: UUID) -> str:
    """The same within the console."""
    return reverse("invitation", args=[_SIGNER.sign(str(invitation_id))])


def invitation_in(signed: str) -> UUID | None:
    """The invitation that a link is of; None if we never signed it."""
    try:
        return UUID(_SIGNER.unsign(signed))
    except (BadSignature, ValueError):
        return None
