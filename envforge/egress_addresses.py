"""Which addresses a customer's URL may lead to: public ones, and the networks that the operator allows (THREATS E2)."""

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The well-known prefix of NAT64 (RFC 6052): behind it is an IPv4 address, which is what counts.
_NAT64 = IPv6Network("64:ff9b::/96")
# Global unicast (RFC 4291); what is not in it is local, reserved, or IPv4 in one of its disguises.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# In it, yet no place of its own: Teredo, ORCHID, benchmarks and documentation (2001::/23), 6to4, 3fff::/20.
_NOWHERE = tuple(IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))
# The deprecated anycast of 6to4; the rest is known to `ipaddress`.
_NOWHERE_V4 = (IPv4Network("192.88.99.0/24"), IPv4Network("100.64.0.0/10"), IPv4Network("192.0.0.0/24"))
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?")
# What resolvers take for an IPv4 address: decimal, octal and hexadecimal parts, one to four of them.
_LIKE_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")


def literal(host: str) -> Address | None:
    """The address that a host spells in the one usual form; None for any other text."""
    try:
        return ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def is_name(host: str) -> bool:
    """Whether a host is a DNS name, and not a number that some resolver takes for an address."""
    return len(host) <= 253 and _NAME.fullmatch(host) is not None and _LIKE_A_NUMBER.fullmatch(host) is None


def may_be_reached(address: Address, allowed: Collection[Network]) -> bool:
    """Whether a connection may be made to an address; whatever wraps an IPv4 address is that one."""
    inner = _unwrapped(address)
    return is_allowed(inner, allowed) or _is_public(inner)


def is_allowed(address: Address, allowed: Collection[Network]) -> bool:
    """Whether the operator has named the address's network."""
    inner = _unwrapped(address)
    return any(inner.version == network.version and inner in network for network in allowed)


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        return (
            address in _GLOBAL_UNICAST
            and address.scope_id is None
            and not any(address in network for network in _NOWHERE)
        )
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _NOWHERE_V4)
    )
