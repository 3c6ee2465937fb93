"""Keeping a notice with what causes it: inside the caller's transaction, as an event is."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection
from django.utils import timezone

from envforge import tenancy
from envforge.errors import TenancyError
from envforge.notify import LinkTo, Notice, Recipient, ToPerson, has_link_source
from envforge.nudge import nudge
from notices import tasks
from notices.kinds import KINDS
from notices.models import Email


class NoticeRefused(ValueError):
    """A notice that its kind does not allow, or that could never arrive."""


def queue_email(
    notice: Notice, *, to: Recipient, link: LinkTo | None = None, parameters: Mapping[str, Any]
) -> UUID:
    """Keep an e-mail of the entered organization; see `envforge.notify.notify`, the way to call it.

    Raises:
        TenancyError: outside of an organization or of its transaction.
        NoticeRefused: no address, or a link that is missing, not wanted or has no source.
        FactRefused: a parameter that the kind does not declare or that does not fit.
    """
    org_id = tenancy.current_org()
    if not connection.in_atomic_block:
        raise TenancyError(f"{notice} outside of a transaction: the notice and its cause commit together.")
    declaration = KINDS[notice]
    if declaration.has_link != bool(link):
        raise NoticeRefused(f"{notice} {'needs a link' if declaration.has_link else 'has no link'}.")
    if link and not has_link_source(link.source):
        raise NoticeRefused(f"{notice}: nothing is registered that makes links to {link.source}.")
    now = timezone.now()
    email = Email(
        kind=notice,
        parameters=declaration.read_parameters(parameters),
        link_source=link.source if link else "",
        link_id=link.id if link else None,
        created_at=now,
        due_at=now,
    )
    if isinstance(to, ToPerson):
        email.to_person_id = to.person_id
    else:
        email.to_address = _address(notice, to.address)
    email.save(force_insert=True)
    nudge(tasks.send_email, org_id, email.id)
    return email.id


def _address(notice: Notice, given: str) -> str:
    try:
        validate_email(given)
    except ValidationError:
        raise NoticeRefused(f"{notice}: the recipient is no e-mail address.") from None
    return given
