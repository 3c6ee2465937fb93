"""A link source of the tests' own, so that links can be made here and in a worker alike."""

from uuid import UUID

from django.conf import settings
from django.core import signing

from envforge import notify
from envforge.secret_value import SecretValue

SOURCE = "test.invitation"

withdrawn: set[UUID] = set()


def token_of(invitation_id: UUID) -> str:
    return signing.Signer(salt=SOURCE).signature(invitation_id.hex)


def link(invitation_id: UUID) -> SecretValue | None:
    if invitation_id in withdrawn:
        return None
    return SecretValue(f"{settings.CONSOLE_URL}/join/{token_of(invitation_id)}")


notify.link_source(SOURCE, link)
