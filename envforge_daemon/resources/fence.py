"""Ports inside a workspace's namespace that are not for all of its accounts (THREATS H3).

A server's inner ports, which ask for no password, are its own account's. A console is its own, the shell's, and the
carrier's, which connects for SSH forwarding; no dev link leads to either, since a link's way in leads to a service alone (L5).
"""

from collections.abc import Iterable

from envforge_daemon.isolation import Wall, Workspace, network
from envforge_daemon.isolation.programs import run

TABLE = "envforge_resources"


async def raise_fence(workspace: Workspace, fenced: Iterable[tuple[int, Iterable[int]]]) -> None:
    """Let only these accounts (by uid) connect to each of these ports; what was closed before is open again.

    Raises:
        IsolationError: the namespace's firewall refused.
    """
    if Wall.NAMESPACES not in workspace.walls or Wall.FIREWALL not in workspace.walls:
        return
    rules = "\n".join(
        f"    tcp dport {port} meta skuid != {{ {', '.join(map(str, uids))} }} reject with tcp reset"
        for port, uids in fenced
    )
    ruleset = (
        f"table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n"
        f"  chain output {{\n    type filter hook output priority 0; policy accept;\n{rules}\n  }}\n}}\n"
    )
    name = network.namespace(workspace.config, workspace.uid)
    await run("ip", "netns", "exec", name, "nft", "-f", "-", given=ruleset)
