"""`envforge check`: say everything that is wrong with an `envforge.yml`, without a server."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from envforge_cli.errors import CommandError

if TYPE_CHECKING:
    from envforge_protocol.contract.problems import BadContract

_CHECK = """\
Check an envforge.yml: every problem at once, each with its line and column.

Exit codes: 0 the file is good; 1 it has problems; 2 wrong usage or unreadable file."""


def add_command(parser: argparse.ArgumentParser) -> None:
    """Make the parser that of `envforge check`."""
    parser.description = _CHECK
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        default="envforge.yml",
        help="envforge.yml without one; - for standard input",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run_check)


def run_check(arguments: argparse.Namespace) -> int:
    """Check one file, print what is wrong with it, and return 0 when nothing is, 1 otherwise.

    Raises:
        CommandError: the file cannot be read.
    """
    # pydantic takes longer to import than all the rest of the program.
    from envforge_protocol.contract import BadContract, parse  # noqa: PLC0415
    from envforge_protocol.contract.digest import digest  # noqa: PLC0415

    name = arguments.file
    try:
        contract = parse(_content(name))
    except BadContract as bad:
        print(_as_json(name, bad) if arguments.json else "\n".join(_words(name, bad)))
        return 1
    if arguments.json:
        found = {
            "file": name,
            "ok": True,
            "service": contract.service.name,
            "digest": digest(contract),
            "problems": [],
        }
        print(json.dumps(found, indent=2))
    else:
        print(f"{name} is good: service {contract.service.name}, digest {digest(contract)[:12]}")
    return 0


def _words(name: str, bad: "BadContract") -> list[str]:
    told = [f"{name}:{one.line}:{one.column}: {one.text}" for one in bad.problems]
    return [*told, f"and {bad.not_listed} more; put these right first"] if bad.not_listed else told


def _as_json(name: str, bad: "BadContract") -> str:
    problems = [one.to_json() for one in bad.problems]
    return json.dumps(
        {"file": name, "ok": False, "problems": problems, "not_listed": bad.not_listed}, indent=2
    )


def _content(name: str) -> bytes:
    from envforge_protocol.contract.tree import MAX_BYTES  # noqa: PLC0415 - see run_check

    try:
        if name == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise CommandError(
            f"there is no {name} here. Give the file's name, or run this in its directory."
        ) from None
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror or error}.") from None
