"""A workspace's sixteen accounts, and how their names are known inside it alone.

The VM's own /etc/passwd never changes: each workspace sees one of ours in its place (`enter.make_private_view`), so that
names need not be unique on a machine, and nothing is left behind. Outside, accounts are numbers.
"""

from dataclasses import dataclass
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.isolation import scratch
from envforge_protocol.host.workspaces import ACCOUNTS_PER_WORKSPACE, Workspace

# The account of the workspace's shell, which owns its files.
SHELL = 0

# Where people's and services' accounts begin; what is below is the VM's own.
FIRST_UID = 100_000

# Carries bytes from the gateways into a namespace: neither root nor any workspace's account.
CARRIER_UID = 99_999

LONGEST_NAME = 32
FIRST_PERSON = 1000
NOBODY = 65534


@dataclass(frozen=True)
class Account:
    """One account: its number within the workspace, and what the kernel knows it by.

    `home` is private to it, as its own processes see it; only the shell's lies among the workspace's files.
    """

    number: int
    uid: int
    gid: int
    name: str
    home: Path


def accounts(workspace: Workspace, home: Path | None) -> tuple[Account, ...]:
    """All accounts of a workspace, which share one group, the first account's; without walls they also share a home."""
    return tuple(
        Account(
            number=number,
            uid=workspace.uid + number,
            gid=workspace.uid,
            name=(name := _name(workspace.user, number)),
            home=home or Path("/home") / name,
        )
        for number in range(ACCOUNTS_PER_WORKSPACE)
    )


def private_directory(config: Config, account: Account) -> Path:
    """Where an account keeps what is nobody else's: its home and its /tmp."""
    return scratch.place(config, account.gid) / str(account.uid)


def _name(user: str, number: int) -> str:
    suffix = "" if number == SHELL else f"-{number}"
    return user[: LONGEST_NAME - len(suffix)] + suffix


def passwd(known: str, members: tuple[Account, ...]) -> str:
    """/etc/passwd as a workspace sees it: the system's accounts, without the VM's people, and its own."""
    lines = [line for line in known.splitlines() if _is_system(line)]
    lines += [
        f"{a.name}:x:{a.uid}:{a.gid}::{a.home}:{'/bin/bash' if a.number == SHELL else '/usr/sbin/nologin'}"
        for a in members
    ]
    return "\n".join(lines) + "\n"


def group(known: str, members: tuple[Account, ...]) -> str:
    """/etc/group as a workspace sees it; nobody of it is a member of a system's group."""
    lines = [":".join([*line.split(":")[:3], ""]) for line in known.splitlines() if _is_system(line)]
    lines.append(f"{members[SHELL].name}:x:{members[SHELL].gid}:")
    return "\n".join(lines) + "\n"


def _is_system(line: str) -> bool:
    fields = line.split(":")
    if len(fields) < 3 or not fields[2].isdigit():
        return False
    number = int(fields[2])
    return number < FIRST_PERSON or number == NOBODY
