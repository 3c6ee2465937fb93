"""Reports: what happened on a VM, taken once by the report's id, in the order it is told."""

from datetime import timedelta
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.utils import timezone

from envforge.actor import HostActor
from envforge.ids import uuid7
from envforge_protocol.host.reports import REPORTS_REMEMBERED_DAYS, Report, Reports, Taken
from hosts import hooks, tokens
from hosts.placed import placed

REMEMBERED = timedelta(days=REPORTS_REMEMBERED_DAYS)

log = structlog.get_logger(__name__)


def take(held: str, reports: Reports) -> Taken:
    """Take each report that was not taken before; answers the ids that the VM may forget.

    A report that breaks whoever hears it is not taken, and keeps no other from being taken; the VM tells it again. One of
    a workspace that was never on the VM is taken and heard by nobody, as is one from before what is remembered.

    Raises:
        NotRecognised: the token does not work.
    """
    with tokens.speaking(held) as actor:
        there = placed(actor, [one.body.workspace_id for one in reports.reports])
        taken = tuple(one.id for one in reports.reports if _take(actor, one, there))
    return Taken(ids=taken)


def _take(actor: HostActor, report: Report, there: frozenset[UUID]) -> bool:
    try:
        with transaction.atomic():
            if not _is_new(actor, report.id):
                return True
            if report.body.workspace_id not in there or report.at < timezone.now() - REMEMBERED:
                log.warning(
                    "host.report.passed_over", host=actor.id, report=str(report.id), kind=report.body.kind
                )
                return True
            hooks.reported(actor, report)
    except Exception as error:  # noqa: BLE001 - of an app above; the others' reports must not wait for it
        log.error("host.report.not_taken", host=actor.id, report=str(report.id), error=type(error).__name__)  # noqa: TRY400
        return False
    return True


def _is_new(actor: HostActor, report_id: UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO hosts_hostreport (id, org_id, host_id, report_id, taken_at) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (host_id, report_id) DO NOTHING",
            [uuid7(), actor.org_id, actor.host_id, report_id, timezone.now()],
        )
        return bool(cursor.rowcount == 1)
