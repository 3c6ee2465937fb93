"""From a word on the command line to the command."""

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from local_cloud.home import REPOSITORY, choose_home
from local_cloud.menu import help_text, nearest

# Imported when asked for, so that one command's needs do not slow another down.
ROOMS = {
    "up": ("up", "run"),
    "test": ("testing", "run_tests"),
    "drill": ("testing", "run_drills"),
    "bench": ("bench", "run"),
    "check": ("check", "run"),
    "manage": ("manage", "run"),
    "shell": ("manage", "shell"),
    "vm": ("vm", "run"),
    "repo": ("repo", "run"),
    "logs": ("logs", "run"),
    "reset": ("reset", "run"),
}


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command; the exit status is 1 for a refusal, 2 for a word we do not know, 130 for Ctrl-C."""
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print(help_text())
        return 0
    name, *rest = arguments
    if name not in ROOMS:
        print(nearest(name), file=sys.stderr)
        return 2
    module, function = ROOMS[name]
    console = Console()
    try:
        home, _note = choose_home(REPOSITORY, environ, os.geteuid())
        command = getattr(importlib.import_module(f"local_cloud.commands.{module}"), function)
        return int(command(home, environ, rest, console))
    except LocalCloudError as error:
        console.clear()
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.say("Stopped.")
        return 130
