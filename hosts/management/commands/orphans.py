"""Instances and volumes that carry EnvForge's tags and that no host or workspace owns: `./dev manage orphans`, `… --end INSTANCE`."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hosts import adrift, fleet
from hosts.models import Orphan
from hosts.vendor import VendorError


class Command(BaseCommand):
    help = "List instances and volumes that nobody owns, as EC2 says now; end one by its id. Nothing ends one by itself."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--end", metavar="ID", help="end this one, its disk with it")

    def handle(self, *_: Any, end: str | None, **__: Any) -> None:
        try:
            fleet.look_at_all()
            adrift.compare()
            if end is not None:
                fleet.end_orphan(end)
        except VendorError as failed:
            raise CommandError(
                f"EC2 did not do it ({failed.code}). Nothing was changed; try again."
            ) from None
        except Orphan.DoesNotExist:
            raise CommandError(
                f"{end} is none of those that nobody owns. They are listed without --end."
            ) from None
        for one in Orphan.objects.order_by("found_at"):
            self.stdout.write(
                f"{one.instance_id}  {one.state}, launched {one.launched_at:%Y-%m-%d %H:%M}, found {one.found_at:%Y-%m-%d %H:%M},"
                f" tagged organization {one.tagged_org or '-'}, host {one.tagged_host or '-'}"
            )
        if end is not None:
            self.stdout.write(f"{end} ends.")
        elif not Orphan.objects.exists():
            self.stdout.write("Every instance has its host, and every volume its workspace.")
