"""Makes a person support staff for some days: `./dev manage grant_staff sam@envforge.test --days 30`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from envforge.actor import SYSTEM
from envforge.errors import Invalid
from orgs import selectors, staff


class Command(BaseCommand):
    help = "Make a person who has signed in before support staff, for some days."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "email", help="the verified e-mail address by which the sign-in service knows them"
        )
        parser.add_argument("--days", type=int, default=30)

    def handle(self, *_: Any, email: str, days: int, **__: Any) -> None:
        person = selectors.person_by_verified_email(email)
        if person is None:
            raise CommandError(
                f"Nobody with the verified address {email} has signed in yet, or more than one person has. "
                "Ask them to sign in once, then run this again."
            )
        try:
            grant = staff.grant_staff(actor=SYSTEM, person=person, days=days)
        except Invalid as invalid:
            raise CommandError(" ".join(invalid.fields.values())) from None
        self.stdout.write(f"{person.name} is support staff until {grant.expires_at:%Y-%m-%d %H:%M} UTC.")
