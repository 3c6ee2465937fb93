"""`manage.py recompute_meter`: does the meter agree with the audit, to the second?"""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orgs.lookups import organization_by_slug
from workspaces.lookups import organizations_with_meter
from workspaces.recompute import compare


class Command(BaseCommand):
    help = "Compute awake time anew from audit events alone and compare it with the meter; exits 1 where they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("organization", nargs="?", help="its short name; without one, every organization")

    def handle(self, *args: Any, **options: Any) -> None:
        organizations = organizations_with_meter()
        if options["organization"]:
            named = organization_by_slug(options["organization"])
            if named is None:
                raise CommandError(f"There is no organization {options['organization']}.")
            organizations = [named]
        windows = seconds = differing = 0
        for org_id in organizations:
            found = compare(org_id)
            windows, seconds = windows + found.windows, seconds + found.seconds
            differing += len(found.differences)
            for sentence in found.differences:
                self.stderr.write(f"Organization {org_id}: {sentence}")
        said = f"{windows:,} windows of {len(organizations):,} organizations, {seconds:,} s awake"
        if differing:
            self.stderr.write(f"{said}: {differing:,} differences between meter and audit.")
            sys.exit(1)
        self.stdout.write(f"{said}: meter and audit agree.")
