from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from orgs.policy.document import document


class Command(BaseCommand):
    help = "Write docs/policy.md from the policy's table."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say whether it is up to date")

    def handle(self, *args: Any, **options: Any) -> None:
        path = settings.BASE_DIR / "docs" / "policy.md"
        if not options["check"]:
            path.write_text(document())
        elif not path.exists() or path.read_text() != document():
            raise CommandError("docs/policy.md is not what the table says; run `./dev manage policy_docs`.")
