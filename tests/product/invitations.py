"""A stand-in for what `orgs` keeps of invitations: a nonce, so that links can be made here and in a worker alike."""

from uuid import UUID

from django.conf import settings

from envforge import link_token, notify
from envforge.secret_value import SecretValue

SOURCE = "test.invitation"
NONCE = b"n" * link_token.NONCE_BYTES

withdrawn: set[UUID] = set()


def token_of(invitation_id: UUID) -> str:
    return link_token.derive("invitation", invitation_id, NONCE).reveal_text()


def link(invitation_id: UUID) -> SecretValue | None:
    if invitation_id in withdrawn:
        return None
    return SecretValue(f"{settings.CONSOLE_URL}/join/{token_of(invitation_id)}")


notify.link_source(SOURCE, link)
