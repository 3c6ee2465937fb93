"""An operator's hand on an organization's VMs: `./dev manage host acme`, `… --ask runtime --size small`, `… --stop ID`."""

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import EnvForgeError
from hosts import operations
from hosts.models import Host, HostRole, Size
from orgs.lookups import organization_by_slug

ACTS: dict[str, Callable[..., None]] = {
    "start": operations.start_host,
    "stop": operations.stop_host,
    "end": operations.end_host,
}


class Command(BaseCommand):
    help = "List an organization's VMs; ask for one; start, stop or end one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("organization", help="its short name, such as acme")
        acts = parser.add_mutually_exclusive_group()
        acts.add_argument("--ask", choices=list(HostRole.values), metavar="ROLE", help="shell or runtime")
        for act in ACTS:
            acts.add_argument(f"--{act}", type=UUID, metavar="ID")
        parser.add_argument("--size", choices=list(Size.values), default=Size.SMALL.value)

    def handle(self, *_: Any, organization: str, **options: Any) -> None:
        org_id = organization_by_slug(organization)
        if org_id is None:
            raise CommandError(f"There is no organization {organization!r}.")
        try:
            self._act(org_id, options)
        except EnvForgeError as refused:
            raise CommandError(refused.detail) from None
        with tenancy.enter(org_id):
            hosts = list(Host.objects.exclude(ended_at__isnull=False).order_by("id"))
        for host in hosts:
            joined = "joined" if host.joined_at else "not joined"
            heard = f", heard {host.heard_at:%H:%M:%S}" if host.heard_at else ""
            trouble = f", {host.trouble}" if host.trouble else ""
            self.stdout.write(
                f"{host.id}  {host}, {host.size}: wanted {host.wanted}, {host.observed}, {joined}{heard}{trouble}"
            )
        if not hosts:
            self.stdout.write("It has no VM. Ask for one: --ask runtime --size small")

    def _act(self, org_id: UUID, options: dict[str, Any]) -> None:
        if options["ask"]:
            operations.request_host(
                actor=SYSTEM, org_id=org_id, role=HostRole(options["ask"]), size=Size(options["size"])
            )
        for name, act in ACTS.items():
            if options[name]:
                act(actor=SYSTEM, org_id=org_id, host_id=options[name])
