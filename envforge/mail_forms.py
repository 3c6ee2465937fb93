"""The forms of the settings about mail, as `envforge.environment` reads them; each raises ValueError or KeyError."""

from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import getaddresses
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over; `security` is `none`, `starttls` or `tls`."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    security: str = "none"


_MAIL_SECURITY = {"smtp": ("none", 25), "smtp+tls": ("starttls", 587), "smtp+ssl": ("tls", 465)}


def server(value: str) -> MailServer:
    parts = urlsplit(value)
    security, usual_port = _MAIL_SECURITY[parts.scheme]
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not parts.hostname or parts.path not in {"", "/"} or parts.query or bool(user) != bool(password):
        raise ValueError
    return MailServer(parts.hostname, parts.port or usual_port, user, password, security)


def mailbox(value: str) -> str:
    [(name, address)] = getaddresses([value])  # raises where there are several
    if not value.isprintable():
        raise ValueError
    return str(Address(display_name=name, addr_spec=address))


def needs_protection(given: MailServer | None) -> str | None:
    if given is None or given.security != "none" or _is_loopback(given.host):
        return None
    return "must begin with smtp+tls:// or smtp+ssl:// in production"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
