"""What the passing of time does to commands and reports, also for VMs that no longer ask: the machine's step, as SYSTEM."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from envforge import tenancy
from envforge_protocol.host.reports import REPORTS_REMEMBERED_DAYS
from hosts import leases
from hosts.callers import organizations_with_due_commands
from hosts.models import HostCommand, HostReport

MOST_ORGANIZATIONS = 200
MOST_COMMANDS = 200
MOST_REPORTS = 5_000
# A day longer than a VM may still tell the same again.
REPORTS_KEPT = timedelta(days=REPORTS_REMEMBERED_DAYS + 1)


def sweep() -> int:
    """Give up commands that nobody finished in time, and forget what is long over; answers how many. Safe to run twice at once."""
    before = timezone.now() - REPORTS_KEPT
    return sum(_sweep_in(one) for one in organizations_with_due_commands(before, MOST_ORGANIZATIONS))


def _sweep_in(org_id: UUID) -> int:
    with tenancy.enter(org_id):
        due = HostCommand.objects.filter(due_at__lte=timezone.now()).order_by("due_at")
        rows = list(due.values_list("id", "finished_at")[:MOST_COMMANDS])
        over = [command_id for command_id, finished_at in rows if finished_at]
        HostCommand.objects.filter(id__in=over).delete()
        told = HostReport.objects.filter(taken_at__lt=timezone.now() - REPORTS_KEPT).order_by("taken_at")
        forgotten = list(told.values_list("id", flat=True)[:MOST_REPORTS])
        HostReport.objects.filter(id__in=forgotten).delete()
    given_up = [command_id for command_id, finished_at in rows if not finished_at]
    return len(over) + len(forgotten) + sum(leases.give_up(org_id, command_id) for command_id in given_up)
