"""Addresses as far as anybody needs to know them."""

from ipaddress import IPv6Address, ip_address, ip_network


def network(client: str) -> str:
    """The /24 or /48 a client is in; empty where it has no address."""
    try:
        # The zone of a link-local address means something on this machine alone.
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return ""
    wide = 48 if isinstance(address, IPv6Address) else 24
    return str(ip_network(f"{address}/{wide}", strict=False))
