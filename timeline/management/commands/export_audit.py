import sys
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from audit import export
from audit.append import append
from audit.filters import Filter
from audit.kinds import BY_NAME, EventKind
from envforge import tenancy
from envforge.actor import SystemActor, Target
from orgs.lookups import organization_by_slug

PROGRESS_EVERY = 10_000
OPERATOR = SystemActor(id="operator", label="An operator of EnvForge")


class Command(BaseCommand):
    help = "Write an organization's sealed events as JSON Lines; `envforge audit verify` checks the file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", help="its short name, or `platform` for EnvForge's own chain")
        parser.add_argument(
            "--output",
            required=True,
            help="the file to write, which must not exist yet; - for standard output",
        )
        parser.add_argument(
            "--kind", choices=sorted(BY_NAME), metavar="KIND", help="events of this kind alone"
        )
        parser.add_argument("--since", type=moment, help="from this moment on (2026-01-31T09:00Z)")
        parser.add_argument("--until", type=moment, help="before this moment")

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["organization"]
        org_id = tenancy.PLATFORM if slug == "platform" else organization_by_slug(slug)
        if org_id is None:
            raise CommandError(f"There is no organization {slug}.")
        wanted = Filter(kind=options["kind"], since=options["since"], until=options["until"])
        with _open(options["output"]) as file, tenancy.enter(org_id):
            events = -2  # the header and the end are lines, too
            for line in export.lines(slug, wanted):
                file.write(line + "\n")
                events += 1
                if events > 0 and events % PROGRESS_EVERY == 0:
                    self.stderr.write(f"{events} lines ...")
            append(
                EventKind.AUDIT_EXPORTED,
                actor=OPERATOR,
                target=Target("organization", str(org_id), slug),
                form="jsonl",
                events=events,
            )


def moment(text: str) -> Any:
    """A moment with its zone; argparse turns the ValueError into words."""
    read = parse_datetime(text)
    if read is None or read.tzinfo is None:
        raise ValueError(text)
    return read


def _open(output: str) -> TextIO:
    if output == "-":
        return sys.stdout
    try:
        return Path(output).open("x", encoding="utf-8")
    except FileExistsError:
        raise CommandError(f"{output} exists already; choose another name.") from None
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}.") from None
