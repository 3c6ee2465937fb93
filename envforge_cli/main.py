"""The program `envforge`: finds the command group that was asked for and runs it.

A group is a module with `add_commands(parser)`, which adds its commands and sets `run` on each: a function
from the parsed arguments to the exit code. A command of its own is a module with `add_command(parser)` in the same
way. Only the module in use is imported, so that `envforge` starts fast.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import NoReturn

from envforge_cli.errors import CommandError

GROUPS = {
    "audit": ("envforge_cli.audit", "check an exported audit timeline"),
}
COMMANDS = {
    "check": ("envforge_cli.contract", "check an envforge.yml"),
}

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Wrong usage and whatever a command cannot read or reach end with 2 and words on standard error. Set
    ENVFORGE_DEBUG=1 to see where an unexpected error was raised.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal that cannot show a letter gets its escape: no name may end a command.
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:] if argv is None else list(argv)
    parsed = _parser(arguments).parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except CommandError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # The reader has left; what is still buffered must not be flushed into the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # the program's edge: a person gets words, never a stack trace
        if os.environ.get("ENVFORGE_DEBUG"):
            raise
        return _fail(f"unexpected {type(error).__name__}: {error}. ENVFORGE_DEBUG=1 shows where.")
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\nTry: {self.prog} --help\n")


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="envforge", description="EnvForge at the command line.", allow_abbrev=False)
    groups = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (module, summary) in GROUPS.items():
        group = groups.add_parser(
            name, help=summary, description=summary.capitalize() + ".", allow_abbrev=False
        )
        if arguments[:1] == [name]:
            import_module(module).add_commands(group)
    for name, (module, summary) in COMMANDS.items():
        command = groups.add_parser(
            name, help=summary, description=summary.capitalize() + ".", allow_abbrev=False
        )
        if arguments[:1] == [name]:
            import_module(module).add_command(command)
    return parser


def _fail(text: str) -> int:
    print(f"envforge: {text}", file=sys.stderr)
    return EXIT_USAGE
