"""Notices of this test's Acme: writing them, moving their time, reading what became of them."""

import os
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from audit.models import Event
from envforge import notify, tenancy
from envforge.ids import uuid7
from envforge.notify import LinkTo, Notice, ToAddress, ToPerson
from notices.models import Email
from tests.product.invitations import SOURCE
from tests.product.world import World

EXPIRES_AT = datetime(2030, 5, 17, 9, 30, tzinfo=UTC)


def invite(world: World, address: str, invitation_id: UUID | None = None, inviter: str = "Alice") -> UUID:
    """Invite somebody to Acme, in a transaction of its own."""
    link = LinkTo(SOURCE, invitation_id or uuid7())
    parameters = {"inviter": inviter, "role": "developer", "expires_at": EXPIRES_AT}
    with tenancy.enter(world.acme.id):
        return notify.notify(Notice.INVITATION, to=ToAddress(address), link=link, **parameters)


def say_removed(world: World, to: UUID | str, remover: str = "Alice") -> UUID:
    """Tell somebody that they were removed from Acme, in a transaction of its own."""
    recipient = ToAddress(to) if isinstance(to, str) else ToPerson(to)
    with tenancy.enter(world.acme.id):
        return notify.notify(Notice.MEMBER_REMOVED, to=recipient, remover=remover)


def row(world: World, email_id: UUID) -> Email:
    with tenancy.enter(world.acme.id):
        return Email.objects.get(id=email_id)


def change(world: World, email_id: UUID, **columns: Any) -> None:
    with tenancy.enter(world.acme.id):
        assert Email.objects.filter(id=email_id).update(**columns) == 1


def make_due(world: World, email_id: UUID) -> None:
    """Time is moved, not slept."""
    change(world, email_id, due_at=timezone.now())


def failures(world: World) -> list[tuple[str, dict[str, Any]]]:
    """The audit's events about mail that did not arrive: whose, and the facts."""
    with tenancy.enter(world.acme.id):
        return list(Event.objects.filter(kind="notice.failed").values_list("target_label", "facts"))


def other_process() -> dict[str, str]:
    """The environment of another process of the product, on this test's database."""
    name = settings.DATABASES["default"]["NAME"]
    return {
        **os.environ,
        "DATABASE_URL": urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}").geturl(),
    }
