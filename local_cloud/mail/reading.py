"""A caught message as people and tests read it; whatever the bytes are, something readable comes out."""

import re
from dataclasses import asdict, dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from markupsafe import Markup, escape

from local_cloud.mail.store import Caught

# What follows a link in a sentence is not part of it.
_LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]}']")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message, decoded. `html` is what the sender wrote: never to be shown outside a sandbox."""

    number: int
    received_at: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    message_id: str
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def text_with_links(self) -> Markup:
        """The text part, safe in HTML, in which addresses of the web can be followed."""
        parts: list[Markup] = []
        position = 0
        for found in _LINK.finditer(self.text):
            link = found[0]
            parts.append(escape(self.text[position : found.start()]))
            parts.append(Markup('<a href="{0}" rel="noopener noreferrer">{0}</a>').format(link))
            position = found.end()
        parts.append(escape(self.text[position:]))
        return Markup().join(parts)


def read(caught: Caught) -> Letter:
    """Decode a message; what cannot be decoded is left as it came, or empty."""
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(caught.content)
    headers = tuple((name, _header(name, value)) for name, value in message.raw_items())
    first = {name.lower(): value for name, value in reversed(headers)}
    return Letter(
        number=caught.number,
        received_at=caught.received_at,
        sender=first.get("from") or caught.sender,
        recipients=caught.recipients,
        subject=first.get("subject", ""),
        message_id=first.get("message-id", ""),
        headers=headers,
        text=_part(message, "plain"),
        html=_part(message, "html"),
    )


def _header(name: str, raw: Any) -> str:
    try:
        value = policy.default.header_fetch_parse(name, raw)
        addresses: tuple[Address, ...] = getattr(value, "addresses", ())
        text = ", ".join(str(address) for address in addresses) if addresses else str(value)
    except Exception:  # noqa: BLE001 - the parser fails in many ways on what is no header
        text = str(raw)
    return text.strip().encode(errors="replace").decode()


def _part(message: EmailMessage, kind: str) -> str:
    try:
        body = message.get_body(preferencelist=(kind,))
        content = body.get_content() if body else ""
    except Exception:  # noqa: BLE001 - as above, for parts
        return ""
    return content.replace("\r\n", "\n") if isinstance(content, str) else ""
