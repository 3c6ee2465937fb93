"""What is stored of dev links, of who came by them, and of the gateways that let them in, by noun."""

from devlinks.models.gateways import Gateway, GatewayToken, LinkKey, Purge, PurgeReceipt, Revision
from devlinks.models.links import DevLink, HostLabel, Issuers, LinkPolicy, LinkWake
from devlinks.models.sessions import DevCode, DevSession, ShellTicket

__all__ = [
    "DevCode",
    "DevLink",
    "DevSession",
    "Gateway",
    "GatewayToken",
    "HostLabel",
    "Issuers",
    "LinkKey",
    "LinkPolicy",
    "LinkWake",
    "Purge",
    "PurgeReceipt",
    "Revision",
    "ShellTicket",
]
