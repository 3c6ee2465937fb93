"""What gateways did about purges: their acknowledgements, and when nothing is awaited of anybody any more (L4, G1, G2)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Min, Q, Sum
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from devlinks.gateways import gateway_of
from devlinks.models import DevLink, Gateway, Purge, PurgeReceipt
from devlinks.purges import at_work, revision_now
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import Invalid
from envforge_protocol.gateway.events import Acknowledgement
from workspaces.routes import nobody_is_led

# Purges are kept as receipts; streams need those of the last minutes alone.
KEPT = timedelta(days=90)
AT_ONCE = 500
# Whose numbers a link's receipt sums up.
_OF_LINKS = ("link",)


@dataclass(frozen=True, slots=True)
class Applied:
    """What one gateway did about a purge. `at` is None where it has not said so; `silent_since` where its lease lapsed before it did."""

    gateway: str
    at: datetime | None
    cut: int
    emptied: bool
    silent_since: datetime | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A revocation as the gateways applied it; `waits_for` counts those that may still lead somebody there."""

    at: datetime
    reason: str
    applied: list[Applied]
    waits_for: int

    @property
    def cut(self) -> int:
        return sum(one.cut for one in self.applied)


def acknowledge(held: str, told: Acknowledgement) -> None:
    """Keep what a gateway did; telling it again changes nothing.

    Raises:
        GatewayNotRecognised
        Invalid: it speaks for another gateway, or of a revision that there has not been.
    """
    gateway = gateway_of(held)
    if told.gateway_id != gateway.id:
        raise Invalid("A gateway acknowledges for itself.")
    if told.revision > revision_now():
        # Taken, it would let the gateway pass for one that has applied purges which are still to come.
        raise Invalid("A gateway acknowledges what it was told: there has been no such revision yet.")
    with transaction.atomic():
        row = Gateway.objects.select_for_update().get(id=gateway.id)
        known = set(
            Purge.objects.filter(revision__in=[one.revision for one in told.applied]).values_list(
                "revision", flat=True
            )
        )
        receipts = [
            PurgeReceipt(revision=one.revision, gateway=row, applied_at=one.at, cut=one.cut)
            for one in told.applied
            if one.revision in known
        ]
        if told.emptied:
            # It cut everything it had: that is told once, at the last of what it missed.
            missed = Purge.objects.filter(revision__gt=row.acknowledged, revision__lte=told.revision)
            single = {one.revision for one in told.applied}
            late = [one for one in missed.order_by("revision")[:AT_ONCE] if one.revision not in single]
            receipts += [
                PurgeReceipt(
                    revision=one.revision, gateway=row, applied_at=timezone.now(), cut=0, emptied=True
                )
                for one in late
                if one.revision is not None
            ]
        PurgeReceipt.objects.bulk_create(receipts, ignore_conflicts=True)
        cut = Purge.objects.filter(
            kind="route", cut=True, revision__gt=row.acknowledged, revision__lte=told.revision
        )
        for org_id, workspace_id in set(cut.values_list("organization_id", "key_id")[:AT_ONCE]):
            if org_id is not None and workspace_id is not None:
                nobody_is_led(org_id, workspace_id)
        row.acknowledged = max(row.acknowledged, told.revision)
        row.heard_at = timezone.now()
        row.save(update_fields=["acknowledged", "heard_at"])


def settle(now: datetime) -> int:
    """A sweep: purges of which nothing is awaited any more; of a revoked link, how many connections were cut is told (L4)."""
    # Asked once: whatever every gateway at work has acknowledged is awaited of none.
    present = revision_now()
    least = at_work().aggregate(least=Min("acknowledged"))["least"]
    reached = present if least is None else min(present, least)
    over = Purge.objects.filter(settled_at=None, revision__lte=reached).order_by("revision")
    return sum(_settle(one, now) for one in over[:AT_ONCE])


def forget_old(now: datetime) -> None:
    """A sweep: purges whose receipts are no longer shown."""
    gone = Purge.objects.filter(at__lt=now - KEPT, settled_at__isnull=False)
    revisions = [one.revision or 0 for one in gone.order_by("revision")[:AT_ONCE]]
    PurgeReceipt.objects.filter(revision__in=revisions).delete()
    Purge.objects.filter(revision__in=revisions).delete()


def receipts_of(kind: str, key_id: UUID, organization_id: UUID) -> list[Receipt]:
    """Every purge under a key, the latest first; callers have asked policy about whose it is."""
    purges = Purge.objects.filter(
        organization_id=organization_id, kind=kind, key_id=key_id, cut=True, revision__isnull=False
    )
    return [_receipt(one) for one in purges.order_by("-revision")[:20]]


def _receipt(purge: Purge) -> Receipt:
    now, revision = timezone.now(), purge.revision or 0
    done = {one.gateway_id: one for one in PurgeReceipt.objects.filter(revision=revision)}
    then = Gateway.objects.filter(registered_at__lte=purge.at, leased_until__gte=purge.at)
    applied, waits = [], 0
    for gateway in then.filter(Q(left_at=None) | Q(left_at__gte=purge.at)).order_by("name", "id"):
        receipt = done.get(gateway.id)
        if receipt is None and gateway.acknowledged < revision:
            lapsed = gateway.left_at or (
                gateway.leased_until if (gateway.leased_until or now) <= now else None
            )
            waits += lapsed is None
            applied.append(Applied(gateway.name, None, 0, emptied=False, silent_since=lapsed))
        else:
            at = receipt.applied_at if receipt else gateway.heard_at
            cut, emptied = (receipt.cut, receipt.emptied) if receipt else (0, True)
            applied.append(Applied(gateway.name, at, cut, emptied, None))
    return Receipt(purge.at, purge.reason, applied, waits)


def _settle(one: Purge, now: datetime) -> int:
    if one.kind not in _OF_LINKS or one.organization_id is None or not one.cut:
        return Purge.objects.filter(id=one.id, settled_at=None).update(settled_at=now)
    with tenancy.enter(one.organization_id):
        if not Purge.objects.filter(id=one.id, settled_at=None).update(settled_at=now):
            return 0
        link = DevLink.objects.select_related("workspace").filter(id=one.key_id or one.id).first()
        done = PurgeReceipt.objects.filter(revision=one.revision or 0)
        if link is not None and done.exists():
            append(
                EventKind.DEV_LINK_CUT,
                actor=SYSTEM,
                target=link,
                link_id=link.id,
                connections=done.aggregate(sum=Sum("cut"))["sum"] or 0,
                gateways=done.count(),
            )
    return 1
