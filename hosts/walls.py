"""The walls that a VM told it runs without (THREATS H1-H3): what people read of it, and what is therefore not done there."""

from collections.abc import Iterable

from django.conf import settings

from envforge_protocol.host.reports import Wall
from hosts.models import Host

WORDS = {
    Wall.ACCOUNTS: "an account of its own for each service",
    Wall.NAMESPACES: "network walls between workspaces",
    Wall.FIREWALL: "the firewall before the VM's own identity",
    Wall.LIMITS: "limits of memory and processors",
    Wall.PRIVATE_VIEW: "private views of processes and temporary files",
}
# What lets customers' code or people in. What ends or takes away is done wherever it is asked.
LETTING_IN = ("prepare_shell", "start_runtime", "run_command", "authorize_shell", "grant_root")


def are_required() -> bool:
    return bool(settings.HOST_WALLS == "required")


def keep_out(host: Host) -> bool:
    """Whether no workspace may run on this VM: walls are required here, and some are missing."""
    return are_required() and bool(host.missing_walls)


def may_let_in(missing: Iterable[str] | None) -> bool:
    """Whether commands of `LETTING_IN` may go to a VM that told this; one that told nothing yet waits for its heartbeat."""
    return not are_required() or (missing is not None and not list(missing))


def says(missing: Iterable[str] | None) -> str:
    """A sentence about what is missing; empty where every wall stands, or nothing was told."""
    named = [WORDS[Wall(one)] for one in missing or ()]
    return f"This VM runs without: {', '.join(named)}." if named else ""
