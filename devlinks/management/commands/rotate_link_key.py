"""Make a new key sign dev links: now and then, or at once where the present one may be in other hands."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devlinks import link_keys
from envforge.actor import SYSTEM
from envforge.errors import Unavailable


class Command(BaseCommand):
    help = "Make a new key sign dev links. Links that earlier keys signed stay good, unless those are distrusted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--distrust",
            action="store_true",
            help="refuse what any earlier key signed, at once: every link is dead until it is rotated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            kid = link_keys.rotate(actor=SYSTEM, distrust=options["distrust"])
        except Unavailable as unavailable:
            raise CommandError(unavailable.detail) from unavailable
        self.stdout.write(f"{kid} signs dev links from now on.")
