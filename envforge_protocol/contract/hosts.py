"""Recognises the addresses of other services in text: where they are is the binding's to say, not the file's (W1)."""

import re
from collections.abc import Collection
from ipaddress import ip_address
from itertools import chain

_URL = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{0,31}://(?:[^\s/@?#'\",]{0,200}@)?(\[[0-9A-Fa-f:.]{2,45}\]|[^\s/:?#'\",\[\]]{1,253})(?::([0-9]{1,5}))?"
)
_HOST_AND_PORT = re.compile(
    r"(?<![\w./:@-])(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):(80|443|[0-9]{4,5})(?![\w.:-])"
)
_INSIDE = re.compile(
    r"(?<![\w.-])[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.(?:internal|local|localhost|lan|home\.arpa|corp|intranet|svc|svc\.cluster\.local|dev\.envforge\.ai)(?![\w-])(?!\.[\w-])",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_HOST_VARIABLE = re.compile(r".+_HOST(?:NAME)?|HOSTNAME")
_OWN = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - recognised, not bound


def other_service_in(text: str, own_ports: Collection[int]) -> str | None:
    """What of the text names another service, in words; None if nothing does.

    Loopback with one of the service's own ports is the service itself. Public addresses are no service of the workspace.
    """
    for found in chain(_URL.finditer(text), _HOST_AND_PORT.finditer(text)):
        told = _told(found[1], found[2], own_ports)
        if told:
            return told
    if _INSIDE.search(text):
        return "a host name that only exists inside a network"
    return None


def is_other_host(variable: str, value: str) -> bool:
    """Whether the variable is named as a host's and its text is one bare word, as in `DB_HOST: db`."""
    return (
        _HOST_VARIABLE.fullmatch(variable) is not None
        and value.lower() not in _OWN
        and (_LABEL.fullmatch(value) is not None or _is_private(value))
    )


def _told(host: str, port: str | None, own_ports: Collection[int]) -> str | None:
    host = host.strip("[]").lower()
    if host in _OWN or host.startswith("127."):
        return (
            None
            if port and int(port) in own_ports
            else "an address of this machine that is not one of the service's own ports"
        )
    if _is_private(host):
        return "a private address"
    if _LABEL.fullmatch(host):
        return "a bare host name, as of another service"
    return None


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return False
