"""Telling people by e-mail from any app: lower apps say what happened, `notices` (above them) writes and sends.

`notify` belongs into the transaction that causes the notice, like an event: both commit or neither does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from envforge.errors import TenancyError
from envforge.secret_value import SecretValue


class Notice(StrEnum):
    """What people are told by e-mail; `notices/kinds.py` declares the words and parameters of each."""

    INVITATION = "invitation"
    APPROVAL_REQUESTED = "approval_requested"
    APPROVAL_DECIDED = "approval_decided"
    MEMBER_REMOVED = "member_removed"
    CAP_NEARED = "cap_neared"
    CAP_REACHED = "cap_reached"


@dataclass(frozen=True, slots=True)
class ToPerson:
    """To somebody we know, at the verified address they have when the mail is sent."""

    person_id: UUID


@dataclass(frozen=True, slots=True)
class ToAddress:
    """To an address, of somebody we may not know yet."""

    address: str


@dataclass(frozen=True, slots=True)
class LinkTo:
    """Where a notice leads: the name a link source is registered by, and the id of what it leads to."""

    source: str
    id: UUID


Recipient = ToPerson | ToAddress


class Queue(Protocol):
    """What keeps a notice until it is sent (`notices.outbox.queue_email`)."""

    def __call__(
        self, notice: Notice, *, to: Recipient, link: LinkTo | None, parameters: Mapping[str, Any]
    ) -> UUID: ...


LinkSource = Callable[[UUID], SecretValue | None]

_queues: list[Queue] = []
_link_sources: dict[str, LinkSource] = {}


def notify(notice: Notice, *, to: Recipient, link: LinkTo | None = None, **parameters: Any) -> UUID:
    """Tell somebody, once the entered organization's transaction has committed.

    Args:
        notice: what is told; it declares its parameters, and whether it needs a link.
        to: who is told.
        link: where the mail leads. The address itself is made when the mail is sent, and stored nowhere.
        parameters: scalars by name; never a value, token or address of a page.

    Returns:
        The notice's id.

    Raises:
        TenancyError: outside of an organization, or nothing is there that could send.
        ValueError: what the notice does not declare, or what does not fit; nothing is written.
    """
    if not _queues:
        raise TenancyError("Nothing is registered that sends notices: is the app `notices` installed?")
    return _queues[-1](notice, to=to, link=link, parameters=parameters)


def send_by(queue: Queue) -> None:
    """Register what keeps and sends notices."""
    _queues.append(queue)


def link_source(name: str, make: LinkSource) -> None:
    """Register how to make the links of one name, from `AppConfig.ready` of the app that owns what they lead to.

    `make(id)` is called in the entered organization when a mail is sent, perhaps more than once, and answers the same
    link each time; None when there is nothing left to lead to, and then the mail is not sent.
    """
    if _link_sources.setdefault(name, make) is not make:
        raise ValueError(f"Links to {name} have a source already.")


def has_link_source(name: str) -> bool:
    return name in _link_sources


def make_link(link: LinkTo) -> SecretValue | None:
    """The address to put into a mail; wrapped, since it may let its reader in."""
    return _link_sources[link.source](link.id)
