"""The firewall of a VM: what customers' code can never reach, whatever it does (THREATS H1).

One table per VM, replaced as a whole in one transaction of the kernel, so that there is no moment without it. Two ways are
closed: out of a workspace's namespace (which code inside it cannot change), and for a workspace's accounts in the VM's own
network, where only git runs as one of them.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

from envforge_daemon.backoff import Backoff
from envforge_daemon.config import Config, endpoint, literal
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation.accounts import CARRIER_UID
from envforge_daemon.isolation.network import interfaces
from envforge_daemon.isolation.programs import run

# The cloud's metadata, by IPv4 and IPv6; beside it lie the credentials of containers and pods.
METADATA = (IPv4Address("169.254.169.254"), IPv6Address("fd00:ec2::254"))
# Amazon's resolver is link-local like the metadata service, and is the one exception.
AMAZON_RESOLVER = IPv4Address("169.254.169.253")

# An NFS server takes a client's word for whose account it asks with, so that nobody but root may ask one: neither directly, nor
# through the tunnel to the organization's file system, which listens on the VM's loopback (`envforge_daemon.tunnel`).
NFS_PORT, TUNNEL_PORT = 2049, 12049

# What a namespace reaches is the internet: nothing private, link-local or of this machine.
CLOSED = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
    )
)


Address = IPv4Address | IPv6Address

log = logging.getLogger("envforge_daemon")
_in_force: dict[str, list[tuple[Address, int]]] = {}


class Unresolvable(IsolationError):
    """A name that the firewall is to close cannot be resolved now."""


def table(config: Config) -> str:
    """The name of a VM's table."""
    return name(config.tag)


def name(tag: str) -> str:
    """The name of the table of the VM with that tag."""
    return f"envforge_{tag}"


async def addresses(host: str, port: int) -> list[Address]:
    """All addresses a name stands for now; none while it cannot be resolved."""
    known = literal(host)
    if known is not None:
        return [known]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [address for entry in found if (address := literal(str(entry[4][0]))) is not None]


async def protected(config: Config, known: Sequence[tuple[Address, int]] = ()) -> list[tuple[Address, int]]:
    """Addresses and ports that only the daemon may reach: metadata, and the control plane's `/host/v1`.

    What was `known` stays closed while a name cannot be resolved: a resolver can be exhausted from inside a namespace.

    Raises:
        Unresolvable: a name cannot be resolved and nothing is known of it, so nobody could say what is to be closed.
    """
    found: list[tuple[Address, int]] = [(address, 80) for address in METADATA]
    for url in (config.metadata_endpoint, config.control_plane):
        host, port = endpoint(url)
        now = await addresses(host, port)
        if not now and not known:
            raise Unresolvable(
                f"The name {host} cannot be resolved, so the firewall cannot be closed before it. Nothing is started."
            )
        found += [(address, port) for address in now] if now else known
    return list(dict.fromkeys(found))


def nameservers(config: Config) -> list[IPv4Address]:
    """Resolvers a namespace can use: the configured ones, else the VM's that are not on its loopback, else Amazon's."""
    if config.nameservers:
        return list(config.nameservers)
    found = []
    for file in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if file.exists():
            for line in file.read_text().splitlines():
                words = line.split()
                address = literal(words[1]) if len(words) > 1 and words[0] == "nameserver" else None
                if isinstance(address, IPv4Address) and not address.is_loopback:
                    found.append(address)
    return list(dict.fromkeys(found)) or [AMAZON_RESOLVER]


def ruleset(config: Config, closed: list[tuple[Address, int]]) -> str:
    """The table as `nft` reads it."""
    wires = f'"{interfaces(config)}*"'
    four = [f"{address} . {port}" for address, port in closed if address.version == 4]
    six = [f"{address} . {port}" for address, port in closed if address.version == 6]
    # On a VM of ours root alone; on a shared machine its other users are none of our business.
    customers = "meta skuid != 0" if config.machine == "own" else f"meta skuid >= {CARRIER_UID}"
    opened = [str(network) for network in config.open_networks]
    return f"""
table inet {table(config)}
delete table inet {table(config)}
table inet {table(config)} {{
  set closed4 {{ type ipv4_addr . inet_service; {_elements(four)} }}
  set closed6 {{ type ipv6_addr . inet_service; {_elements(six)} }}
  set metadata4 {{ type ipv4_addr; {_elements([str(a) for a in METADATA if a.version == 4])} }}
  set resolvers {{ type ipv4_addr; {_elements([str(address) for address in nameservers(config)])} }}
  set private4 {{ type ipv4_addr; flags interval; auto-merge; {_elements([str(network) for network in CLOSED])} }}
  set opened4 {{ type ipv4_addr; flags interval; auto-merge; {_elements(opened)} }}

  # The sender must be who its wire says it is.
  chain prerouting {{
    type filter hook prerouting priority -160; policy accept;
    iifname {wires} meta nfproto ipv6 drop
    iifname {wires} fib saddr . iif oif 0 drop
  }}
  # To the VM itself, its daemon, its other addresses: nothing.
  chain input {{
    type filter hook input priority -10; policy accept;
    iifname {wires} ct state established,related accept
    iifname {wires} reject with icmp type admin-prohibited
  }}
  # Out to others, and in from anywhere.
  chain forward {{
    type filter hook forward priority -10; policy accept;
    iifname {wires} oifname "ef*" drop
    iifname {wires} ip daddr @metadata4 reject with icmp type admin-prohibited
    iifname {wires} ip daddr . tcp dport @closed4 reject with icmp type admin-prohibited
    iifname {wires} meta l4proto {{ tcp, udp }} th dport {NFS_PORT} reject with icmp type admin-prohibited
    iifname {wires} ip daddr @resolvers meta l4proto {{ tcp, udp }} th dport 53 accept
    iifname {wires} ip daddr @opened4 accept
    iifname {wires} ip daddr @private4 reject with icmp type admin-prohibited
    oifname {wires} ct state established,related accept
    oifname {wires} drop
  }}
  # From the VM's own network: protected addresses and files for root alone, and nobody else into a namespace.
  chain output {{
    type filter hook output priority -10; policy accept;
    {customers} ip daddr @metadata4 reject with icmp type admin-prohibited
    {customers} ip daddr . tcp dport @closed4 reject with icmp type admin-prohibited
    {customers} ip6 daddr . tcp dport @closed6 reject with icmpv6 type admin-prohibited
    {customers} meta l4proto {{ tcp, udp }} th dport {{ {NFS_PORT}, {TUNNEL_PORT} }} reject with icmpx type admin-prohibited
    meta skuid != 0 oifname {wires} reject with icmp type admin-prohibited
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    iifname {wires} oifname != {wires} masquerade
  }}
}}
"""


def _elements(entries: list[str]) -> str:
    return f"elements = {{ {', '.join(entries)} }};" if entries else ""


async def replace(config: Config, known: Sequence[tuple[Address, int]] = ()) -> list[tuple[Address, int]]:
    """Put the table in place, in one step, and return what is closed; again when the control plane's addresses may have changed.

    Raises:
        IsolationError: the kernel or nft refused.
    """
    closed = await protected(config, known)
    await run("nft", "-f", "-", given=ruleset(config, closed))
    _in_force[table(config)] = closed
    return closed


def in_force(config: Config) -> list[tuple[Address, int]]:
    """What this program closed last; nothing before it did."""
    return _in_force.get(table(config), [])


async def begin(config: Config) -> None:
    """Put the table in place, however long it takes until the control plane's name can be resolved: before that nothing is started.

    A table that an earlier run of the program left stands meanwhile, and so do the services behind it.

    Raises:
        IsolationError: the kernel or nft refused.
    """
    backoff = Backoff()
    while True:
        try:
            await replace(config)
        except Unresolvable as error:
            log.warning("%s", error)
            await backoff.wait()
        else:
            return


async def remove(config: Config) -> None:
    """Take the table away."""
    await run("nft", "delete", "table", "inet", table(config), may_fail=True)


async def stands(config: Config) -> bool:
    """Whether the table is there: an administrator's `nft flush ruleset` takes it away without telling."""
    return f"table inet {table(config)}" in await run("nft", "list", "tables")
