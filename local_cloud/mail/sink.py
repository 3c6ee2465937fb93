"""The SMTP side: accepts every message for every address, and keeps it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session

from local_cloud.mail.store import Store

MAX_MESSAGE_BYTES = 10 * 1024 * 1024
MAX_RECIPIENTS = 100

log = logging.getLogger("local_cloud.mail")


class Sink:
    """Keeps what arrives; 250 is said only when the message is on disk."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds it by the command's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        content = envelope.original_content or b""
        recipients = [str(address) for address in envelope.rcpt_tos]
        number = self._store.add(sender=str(envelope.mail_from or ""), recipients=recipients, content=content)
        # No address, subject or text: a link in a message is a way in, and logs are read by others.
        log.info("message %d: %d bytes, %d recipients", number, len(content), len(recipients))
        return f"250 2.0.0 Kept as message {number}"


@asynccontextmanager
async def listening(store: Store, port: int) -> AsyncIterator[None]:
    """Take mail on this port of 127.0.0.1 for as long as the block runs.

    Raises:
        OSError: the port cannot be had.
    """
    loop = asyncio.get_running_loop()
    sink = Sink(store)
    server = await loop.create_server(
        lambda: SMTP(
            sink,
            hostname="localhost",
            ident="EnvForge mail catcher",
            enable_SMTPUTF8=True,
            data_size_limit=MAX_MESSAGE_BYTES,
            loop=loop,
        ),
        host="127.0.0.1",
        port=port,
    )
    try:
        yield
    finally:
        server.close()
