"""The commands of ./dev, what each is for, and which packages it needs."""

import difflib
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One word after ./dev; `lock` names the file in requirements/ with its packages."""

    usage: str
    purpose: str
    lock: str


COMMANDS: dict[str, Command] = {
    "up": Command("up", "run all of EnvForge on this machine; Ctrl-C stops it", "local"),
    "test": Command("test [PYTEST ARGUMENTS]", "run the tests, in the browser too", "dev"),
    "check": Command("check", "format, lint, types, migrations, rooms, links in the documents", "dev"),
    "drill": Command("drill [PYTEST ARGUMENTS]", "run the long fault tests", "dev"),
    "bench": Command("bench [NAME] [--quick]", "run the measurements in bench/", "dev"),
    "manage": Command("manage COMMAND ...", "run manage.py against the local cloud", "local"),
    "shell": Command("shell", "open a Django shell against the local cloud", "local"),
    "vm": Command("vm COMMAND ...", "list VMs, crash them, switch EC2's faults", "local"),
    "repo": Command(
        "repo add|list|show|remove",
        "put git repositories on the local git host, and see their addresses",
        "local",
    ),
    "logs": Command("logs [PART]", "show the logs and follow them", "local"),
    "reset": Command("reset [--yes]", "remove all local state (not the installed packages)", "local"),
}


def help_text() -> str:
    """The list of commands."""
    width = max(len(command.usage) for command in COMMANDS.values()) + 2
    lines = [f"  ./dev {command.usage:<{width}}{command.purpose}" for command in COMMANDS.values()]
    about = "EnvForge on this machine. Needs Python 3.11 or newer and git; sets up the rest by itself."
    where = "State is kept in .local/, or in $ENVFORGE_HOME. New here? Run: ./dev up"
    return "\n".join([about, "", *lines, "", where])


def nearest(name: str) -> str:
    """What to say about a word that is no command."""
    close = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
    hint = f" Did you mean ./dev {close[0]}?" if close else ""
    return f"./dev has no command {name!r}.{hint} All commands: {', '.join(COMMANDS)}. Details: ./dev --help"
