"""Ends a person's staff grant at once: `./dev manage revoke_staff sam@envforge.test`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from envforge.actor import SYSTEM
from orgs import selectors, staff


class Command(BaseCommand):
    help = "End a person's staff grant, and their visit if they are on one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "email", help="the verified e-mail address by which the sign-in service knows them"
        )

    def handle(self, *_: Any, email: str, **__: Any) -> None:
        person = selectors.person_by_verified_email(email)
        if person is None or not staff.revoke_staff(actor=SYSTEM, person=person):
            raise CommandError(f"Nobody with the verified address {email} holds a staff grant.")
        self.stdout.write(f"{person.name} is support staff no longer.")
