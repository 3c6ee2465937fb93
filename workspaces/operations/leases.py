"""Job leases: somebody declares that a job needs the runtime until then (W7)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.facts import name_text
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, Invalid, NotVisible
from orgs.policy import Action
from workspaces import activity, caps
from workspaces.leases import end_lease
from workspaces.locks import locked_runtime
from workspaces.models import JobLease, Presence, Runtime, WakeCause
from workspaces.wants import want_awake

LEASE_S = range(60, int(activity.KEPT_AWAKE_AT_MOST.total_seconds()) + 1)
MOST_LEASES = 50
MAX_NAME_LENGTH = 80


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease as held, and when the runtime sleeps if nothing more happens."""

    id: UUID
    name: str
    held_by: str
    began_at: datetime
    until: datetime
    sleep_at: datetime | None

    @classmethod
    def of(cls, lease: JobLease, runtime: Runtime) -> "LeaseView":
        return cls(lease.id, lease.name, lease.held_by, lease.began_at, lease.until, runtime.sleep_at)


def hold_awake(*, actor: Actor, org_id: UUID, workspace_id: UUID, name: str, for_s: int) -> LeaseView:
    """Keep a workspace's runtime awake for a job, waking it if it sleeps; it counts as activity until then.

    Held again under the same name, the lease is extended; it is never shortened so, `release_lease` does that.

    Args:
        name: the job's, for people to read.
        for_s: from now on; at most `KEPT_AWAKE_AT_MOST`.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: name or time cannot be used.
        CapReached: a usage cap is at "stop".
        Conflict: somebody else holds a lease of that name, there are too many, or the workspace is archived.
    """
    with tenancy.enter(org_id):
        runtime = locked_runtime(actor, Action.RUNTIME_WAKE, workspace_id)
        job = _job(name, for_s)
        if runtime.workspace.wanted != Presence.PRESENT:
            raise Conflict("This workspace is archived. Restore it, then let jobs run in it.")
        caps.require_below_cap(runtime)
        now = timezone.now()
        lease = _held(runtime, actor, job, now)
        until = now + timedelta(seconds=for_s)
        want_awake(runtime, actor=actor, cause=WakeCause.JOB_LEASE, detail=job)
        if lease.until < until:
            lease.until = until
            lease.save()
            append(
                EventKind.RUNTIME_EXTENDED,
                actor=actor,
                target=runtime,
                cause=WakeCause.JOB_LEASE,
                until=lease.until,
                job=lease.name,
            )
        activity.reckon(runtime)
        return LeaseView.of(lease, runtime)


def release_lease(*, actor: Actor, org_id: UUID, workspace_id: UUID, lease_id: UUID) -> None:
    """End a job's lease; the idle time counts from now. One that is over already stays as it is.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; or there is no such lease.
    """
    with tenancy.enter(org_id):
        runtime = locked_runtime(actor, Action.RUNTIME_SLEEP, workspace_id)
        lease = JobLease.objects.filter(runtime=runtime, id=lease_id).first()
        if lease is None:
            raise NotVisible
        end_lease(lease, runtime, actor=actor)


def _held(runtime: Runtime, actor: Actor, name: str, now: datetime) -> JobLease:
    """The actor's lease of that name, or a new one that is not stored yet."""
    # What ran out by itself is over, and its name free again.
    held = JobLease.objects.filter(runtime=runtime, released_at=None)
    for over in held.filter(until__lte=now):
        over.released_at = over.until
        over.save(update_fields=["released_at"])
    lease = held.filter(name=name).first()
    if lease is None:
        if held.count() >= MOST_LEASES:
            raise Conflict(
                f"{MOST_LEASES} jobs keep this workspace awake already. Release one that has ended."
            )
        return JobLease(
            runtime=runtime,
            name=name,
            held_by=actor.label[:200],
            holder_kind=actor.kind,
            holder_id=actor.id,
            began_at=now,
            until=now,
        )
    if (lease.holder_kind, lease.holder_id) != (actor.kind, actor.id):
        raise Conflict(f"{lease.held_by} holds a job named {name} here. Use another name.")
    return lease


def _job(name: str, for_s: int) -> str:
    wrong = {}
    try:
        name = name_text(name.strip())
        if len(name) > MAX_NAME_LENGTH:
            wrong["name"] = f"Use at most {MAX_NAME_LENGTH} characters."
    except ValueError as error:
        wrong["name"] = f"A job's name {error}."
    if for_s not in LEASE_S:
        wrong["for_s"] = f"Use {LEASE_S.start} to {LEASE_S.stop - 1:,} seconds."
    if wrong:
        raise Invalid("This job cannot keep the workspace awake.", wrong)
    return name
