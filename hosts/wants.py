"""Changes of what is wanted of VMs, inside an entered organization and a transaction of the caller's."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Max

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM, Actor
from envforge.nudge import nudge
from hosts.changes import Change, announce
from hosts.models import Host, Placement, Power

# A VM on which nobody is awake is stopped after this, since waking again soon is common; and ended after that.
STOP_AFTER = timedelta(minutes=5)
END_AFTER = timedelta(days=3)


def lock_placements() -> None:
    """Hold off every other change of placements in this organization until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('hosts.placement:' || %s, 0))",
            [str(tenancy.current_org())],
        )


def new_host(
    *, actor: Actor, role: str, size: str, dedicated_to: UUID | None, now: datetime, cause: str
) -> Host:
    """A VM that does not exist yet; the caller holds `lock_placements`."""
    last = Host.objects.filter(role=role).aggregate(last=Max("number"))["last"] or 0
    host = Host.objects.create(
        role=role,
        size=size,
        number=last + 1,
        dedicated_to=dedicated_to,
        wanted=Power.RUNNING,
        wanted_at=now,
        wanted_cause=cause,
        observed_at=now,
        due_at=now,
        unused_since=now,
    )
    append(EventKind.HOST_REQUESTED, actor=actor, target=host, role=role_word(host), size=size)
    nudge_host(host)
    return host


def want(host: Host, power: Power, *, cause: str, now: datetime) -> None:
    """Want a locked VM running, stopped or ended; a worker brings it there. Wanting the same again changes nothing."""
    if host.wanted == power:
        return
    host.wanted, host.wanted_at, host.wanted_cause = power, now, cause
    host.attempts, host.due_at = 0, now
    touch(host, ("wanted", "wanted_at", "wanted_cause", "attempts", "due_at"))
    if power is not Power.RUNNING:
        announce(host, Change.LEAVING, cause=cause)
    nudge_host(host)


def used(host: Host, now: datetime) -> None:
    """Note that somebody is awake on a locked VM, which therefore is wanted running."""
    if host.unused_since is not None:
        host.unused_since = None
        touch(host, ("unused_since",))
    want(host, Power.RUNNING, cause="placement", now=now)


def unused(host: Host, now: datetime) -> None:
    """Note that nobody is awake on a locked VM any more; in a while it is stopped."""
    if host.unused_since is None:
        host.unused_since = now
        stops_at = now + STOP_AFTER
        host.due_at = min(host.due_at or stops_at, stops_at)
        touch(host, ("unused_since", "due_at"))


def is_used(host: Host) -> bool:
    """Whether a workspace on it wants to be awake."""
    return Placement.objects.filter(host=host, ended_at=None, slot__active=True).exists()


def leave(placements: Iterable[Placement], now: datetime, *, actor: Actor = SYSTEM) -> None:
    """Close placements; they stay as history (V2)."""
    for placement in placements:
        placement.ended_at = max(now, placement.began_at)
        placement.save(update_fields=["ended_at"])
        append(
            EventKind.PLACEMENT_ENDED,
            actor=actor,
            target=placement.slot,
            role=placement.slot.role,
            host_id=placement.host_id,
        )


def touch(host: Host, fields: Iterable[str]) -> None:
    """Store some columns of a locked host, and that it changed."""
    host.version += 1
    host.save(update_fields=[*fields, "version"])


def role_word(host: Host) -> str:
    """The role as events name it."""
    return "dedicated" if host.dedicated_to else host.role


def nudge_host(host: Host) -> None:
    """Tell a worker to look at the host once this has committed."""
    from hosts import tasks  # noqa: PLC0415 - a task leads to the reconciler, which leads here

    nudge(tasks.reconcile_host, host.org_id, host.id)
