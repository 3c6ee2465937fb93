"""EBS' volumes against our rows, for all organizations at once: what differs becomes due, whatever no workspace has is listed."""

from collections import defaultdict
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from envforge import tenancy
from hosts import due, ebs
from hosts.ebs import SeenVolume
from hosts.models import DataVolume, Observed, Orphan
from hosts.vendor import VendorError

GOING = frozenset({"deleting", "deleted"})
VOLUME_PREFIX = "vol-"

log = structlog.get_logger(__name__)


def compare() -> int:
    """Compare all volumes with our rows, once; answers how many nobody has. Where EC2 does not answer, the next does it."""
    try:
        seen = [one for page in ebs.pages() for one in page if one.state not in GOING]
    except VendorError as failed:
        log.warning("volumes.put_off", trouble=failed.trouble, code=failed.code)
        return 0
    by_org: dict[UUID, list[SeenVolume]] = defaultdict(list)
    adrift = []
    for one in seen:
        org_id = _uuid(one.org_id)
        if org_id is None or _uuid(one.row_id) is None:
            adrift.append(one)
        else:
            by_org[org_id].append(one)
    for org_id, ours in by_org.items():
        with tenancy.enter(org_id):
            adrift += _compare(ours)
    _report(adrift)
    return len(adrift)


def _compare(ours: list[SeenVolume]) -> list[SeenVolume]:
    """Make due what differs from its row; answers the volumes without one."""
    rows = {str(row.id): row for row in DataVolume.objects.filter(id__in=[one.row_id for one in ours])}
    adrift, differing = [], []
    for one in ours:
        row = rows.get(one.row_id)
        if row is None or row.removed_at is not None or row.volume_id not in {"", one.volume_id}:
            adrift.append(one)
        elif row.volume_id == "" or (one.attachment, one.instance_id) != _expected(row):
            differing.append(row.id)
    for row in DataVolume.objects.select_for_update().filter(id__in=differing, due_at=None):
        due.make_due(row)
    return adrift


def _expected(row: DataVolume) -> tuple[str, str]:
    return ("attached", row.attached_to) if row.attached_to else ("", "")


def _report(adrift: list[SeenVolume]) -> None:
    """List for support what no workspace has; an operator ends it (`./dev manage orphans --end`)."""
    now = timezone.now()
    with transaction.atomic():
        listed = Orphan.objects.filter(instance_id__startswith=VOLUME_PREFIX)
        listed.exclude(instance_id__in=[one.volume_id for one in adrift]).delete()
        for one in adrift:
            state = Observed.RUNNING if one.attachment else Observed.STOPPED
            values = {"state": state, "tagged_org": one.org_id, "tagged_host": one.instance_id}
            begun = {**values, "launched_at": one.created_at, "found_at": now}
            _, is_new = Orphan.objects.update_or_create(
                instance_id=one.volume_id, defaults=values, create_defaults=begun
            )
            if is_new:
                log.warning("volumes.orphan", volume=one.volume_id)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
