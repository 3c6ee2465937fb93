"""The forms of the settings about mail, as `envforge.environment` reads them; each raises ValueError or KeyError."""

from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import getaddresses
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over; `security` is `none`, `starttls` or `tls`."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    security: str = "none"


_SECURITY = {"smtp": ("none", 25), "smtp+tls": ("starttls", 587), "smtp+ssl": ("tls", 465)}


def server(value: str) -> MailServer:
    parts = urlsplit(value)
    security, usual_port = _SECURITY[parts.scheme]
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not parts.hostname or parts.path not in {"", "/"} or parts.query or bool(user) != bool(password):
        raise ValueError
    return MailServer(parts.hostname, parts.port or usual_port, user, password, security)


def mailbox(value: str) -> str:
    [(name, address)] = getaddresses([value])  # raises where there are several
    if not value.isprintable():
        raise ValueError
    return str(Address(display_name=name, addr_spec=address))
