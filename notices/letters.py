"""Writing the letter of a notice at the moment it is sent, in the entered organization."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.template import Context, Engine

from envforge.notify import LinkTo, Notice, make_link
from notices.kinds import KINDS
from notices.models import Email
from notices.words import unlinkable
from orgs.models import Membership, Organization, Person

_DIRECTORIES = [str(settings.BASE_DIR / "templates" / "mail")]
# Text is not HTML: escaping there would show people `&amp;`.
_TEXT = Engine(dirs=_DIRECTORIES, autoescape=False)
_HTML = Engine(dirs=_DIRECTORIES)


class Undeliverable(Exception):
    """There is no letter to send, and there will be none; `reason` is one word.

    `expected`: what the notice was about is over, or its reader has left; nobody has to know.
    """

    def __init__(self, reason: str, *, expected: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Letter:
    """What is handed to the mail server. Text and HTML may hold a link that lets its reader in."""

    id: UUID
    recipient: str
    subject: str
    written_at: datetime
    text: str = field(repr=False)
    html: str = field(repr=False)


def write(email: Email) -> Letter:
    """The letter of an outbox row, with names, addresses and links as they are now.

    Raises:
        Undeliverable: the reader has no verified address or may not read it, or its link leads nowhere any more.
    """
    notice = Notice(email.kind)
    recipient = _recipient(email)
    words = {name: _shown(value) for name, value in email.parameters.items()}
    words["organization"] = unlinkable(
        Organization.objects.values_list("name", flat=True).get(id=email.org_id)
    )
    context: dict[str, Any] = {**words, "link": _link(email)}
    subject = KINDS[notice].subject.format(**words)
    context["subject"] = subject
    return Letter(
        id=email.id,
        recipient=recipient,
        subject=subject,
        written_at=email.created_at,
        text=_TEXT.get_template(f"{notice}.txt").render(Context(context, autoescape=False)),
        html=_HTML.get_template(f"{notice}.html").render(Context(context)),
    )


def _recipient(email: Email) -> str:
    if email.to_person_id is None:
        return email.to_address
    person = Person.objects.get(id=email.to_person_id)
    if KINDS[Notice(email.kind)].members_only and not Membership.objects.filter(person=person).exists():
        raise Undeliverable("not_a_member", expected=True)
    if not person.email_verified:
        raise Undeliverable("address_not_verified", expected=False)
    return person.email


def _link(email: Email) -> str:
    if email.link_id is None:
        return ""
    link = make_link(LinkTo(email.link_source, email.link_id))
    if link is None:
        raise Undeliverable("withdrawn", expected=True)
    return link.reveal_text()


def _shown(value: Any) -> str:
    text = str(value)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return unlinkable(text)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"
