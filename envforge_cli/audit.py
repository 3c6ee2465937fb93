"""`envforge audit verify`: check an exported audit timeline with no server."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from envforge_cli.errors import CommandError

if TYPE_CHECKING:
    from envforge_protocol.audit.checkpoints import Checkpoint, Keys
    from envforge_protocol.audit.verify import Report

_MAX_SIDE_FILE_BYTES = 1024 * 1024

_VERIFY = """\
Check an exported audit timeline: its order, gaps, changes and signatures, with no server.

Exit codes: 0 verified; 1 verification failed; 2 wrong usage or unreadable input."""


def add_commands(group: argparse.ArgumentParser) -> None:
    """Add the commands of `envforge audit`."""
    commands = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    verify = commands.add_parser(
        "verify",
        help="check an export with no server",
        description=_VERIFY,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verify.add_argument("file", metavar="FILE", help="a JSON Lines export, or - for standard input")
    verify.add_argument(
        "--keys",
        metavar="KEYS",
        help="the control plane's public keys: its JSON key document, or one PEM file",
    )
    verify.add_argument(
        "--expect",
        metavar="CHECKPOINT",
        help="a checkpoint you kept elsewhere (JSON): finds a tail that was cut off or rewritten since",
    )
    verify.add_argument(
        "--allow-unsigned",
        action="store_true",
        help="accept a file without a verified checkpoint: finds accidents, not forgery",
    )
    verify.add_argument("--json", action="store_true", help="print the report as JSON")
    verify.set_defaults(run=run_verify)


def run_verify(arguments: argparse.Namespace) -> int:
    """Verify one file, print the report and return 0 when it is verified, 1 when it is not.

    Raises:
        CommandError: the file, the keys or the kept checkpoint cannot be read, or no keys are given.
    """
    # cryptography takes longer to import than all the rest of the program.
    from envforge_protocol.audit.export_format import bounded_lines  # noqa: PLC0415
    from envforge_protocol.audit.verify import verify  # noqa: PLC0415

    if arguments.keys is None and not arguments.allow_unsigned:
        raise CommandError(
            "the signatures cannot be checked without public keys. Give --keys with the key document your "
            "control plane publishes, or --allow-unsigned to check order and hashes alone."
        )
    keys = None if arguments.keys is None else _keys(arguments.keys)
    expect = None if arguments.expect is None else _checkpoint(arguments.expect)
    with _opened(arguments.file) as file:
        lines = bounded_lines(file)
        first = next(lines, b"")
        _refuse_csv(arguments.file, first)
        report = verify(
            chain([first] if first else [], lines), keys, expect, allow_unsigned=arguments.allow_unsigned
        )
    if arguments.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        print("\n".join(_words(report, kept=expect is not None)))
    return 0 if report.ok else 1


def _words(report: "Report", *, kept: bool) -> Iterator[str]:
    if report.chain is not None:
        yield f"Chain          {report.chain}, which the file calls {report.name}"
    yield f"Checked        {_checked(report)}"
    yield f"Signed         {_signed(report, kept=kept)}"
    if report.key_ids:
        yield f"Keys           {', '.join(report.key_ids)}"
    unsigned = (report.signed_through or (report.first_seq or 1) - 1) + 1
    if report.ok and report.last_seq is not None and unsigned <= report.last_seq:
        yield f"Not signed     events {unsigned} to {report.last_seq}: chained, but no signature vouches for them yet"
    if report.omitted:
        yield f"Left out       {report.omitted} event(s): the chain holds their digests, the file does not show them"
    if report.ok:
        yield (
            "VERIFIED"
            if report.signs_anything
            else "CONSISTENT, BUT NOT SIGNED: anybody could have written this file"
        )
        return
    yield ""
    for problem in report.problems:
        yield f"- {problem.text}" + (
            f" (line {problem.line})" if problem.line and "line" not in problem.text else ""
        )
    if report.problems_not_listed:
        yield f"- and {report.problems_not_listed} more"
    yield ""
    if report.first_bad_seq is not None:
        yield f"First bad sequence number: {report.first_bad_seq}"
    yield "NOT VERIFIED"


def _signed(report: "Report", *, kept: bool) -> str:
    if report.signed_through is None:
        return "nothing is signed" if not report.key_ids else "nothing before the first problem is signed"
    if not report.ok:
        return f"through event {report.signed_through}; trust nothing after it"
    by_file = f"by {report.checkpoints_verified} checkpoint(s) of this file"
    return f"through event {report.signed_through}, {by_file}" + (" and the one you kept" if kept else "")


def _checked(report: "Report") -> str:
    if report.first_seq is None:
        return "no events"
    return f"{report.events} event(s), sequence numbers {report.first_seq} to {report.last_seq}"


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    try:
        if name == "-":
            yield sys.stdin.buffer
        else:
            with Path(name).open("rb") as file:
                yield file
    except OSError as error:
        raise _unreadable(name, error) from None


def _refuse_csv(name: str, first_line: bytes) -> None:
    is_json = first_line.lstrip().startswith((b"{", b"["))
    if not is_json and (b"," in first_line or name.lower().endswith(".csv")):
        raise CommandError(
            f"{name} looks like CSV. CSV is for reading and cannot be verified; export as JSON Lines."
        )


def _keys(name: str) -> "Keys":
    from envforge_protocol.audit.checkpoints import BadKeys, load_keys  # noqa: PLC0415 - see run_verify

    try:
        return load_keys(_side_file(name))
    except BadKeys as error:
        raise CommandError(
            f"the keys in {name} cannot be used: {error}. Give the JSON key document that your control plane "
            "publishes, or one PEM public key."
        ) from None


def _checkpoint(name: str) -> "Checkpoint":
    from envforge_protocol.audit.checkpoints import BadCheckpoint, Checkpoint  # noqa: PLC0415 - see run_verify

    advice = "Give one checkpoint as JSON, such as a checkpoint line copied from an earlier export."
    try:
        return Checkpoint.from_json(json.loads(_side_file(name)))
    except BadCheckpoint as error:
        field = f'field "{error.field}" ' if error.field else ""
        raise CommandError(f"{name} is not a checkpoint: {field}{error}. {advice}") from None
    except (ValueError, RecursionError):
        raise CommandError(f"{name} is not JSON. {advice}") from None


def _side_file(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            content = file.read(_MAX_SIDE_FILE_BYTES + 1)
    except OSError as error:
        raise _unreadable(name, error) from None
    if len(content) > _MAX_SIDE_FILE_BYTES:
        raise CommandError(f"{name} is larger than 1 MiB and cannot be what was asked for.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise CommandError(f"{name} is not UTF-8 text.") from None


def _unreadable(name: str, error: OSError) -> CommandError:
    return CommandError(f"{name} cannot be read: {error.strerror or error}.")
