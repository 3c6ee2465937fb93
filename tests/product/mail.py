"""What arrives by e-mail, as the catcher shows it; and mail servers that behave badly."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from typing import Any
from urllib.parse import quote

import httpx2
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from local_cloud.mail.sink import Sink
from tests.issuer.conftest import free_port

MAIL_URL = os.environ["ENVFORGE_TEST_MAIL_URL"]


def received(address: str) -> list[dict[str, Any]]:
    """The messages to an address, the newest first."""
    answer = httpx2.get(f"{MAIL_URL}/api/messages?to={quote(address)}")
    messages: list[dict[str, Any]] = answer.json()["messages"]
    return messages


class Refusing:
    """A server that answers every message in one way."""

    def __init__(self, *, recipient: str = "250 OK", data: str = "250 OK") -> None:
        self.recipient = recipient
        self.data = data

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds it by the command's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        return self.data


class Killing:
    """A server that takes a message and kills whoever sent it, before the sender can know."""

    def __init__(self) -> None:
        self.sender: int | None = None
        self.message_ids: list[str] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.message_ids.append(message_from_bytes(envelope.original_content or b"")["Message-ID"])
        if self.sender is not None:
            os.kill(self.sender, signal.SIGKILL)
        return "250 OK"


@contextmanager
def mail_server(handler: Refusing | Killing | Sink) -> Iterator[int]:
    """Run a server with this handler on a free port of 127.0.0.1."""
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
