"""What holds a runtime awake for a while: a job's lease, or its shell's (W7)."""

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import Actor
from workspaces import activity
from workspaces.models import JobLease, Power, Runtime, WakeCause


def end_lease(lease: JobLease, runtime: Runtime, *, actor: Actor) -> None:
    """End what holds a locked runtime awake, inside the caller's transaction; again, it changes nothing."""
    now = timezone.now()
    if lease.released_at is not None or lease.until <= now:
        return
    lease.released_at = now
    lease.save(update_fields=["released_at"])
    append(EventKind.RUNTIME_LEASE_ENDED, actor=actor, target=runtime, job=lease.name)
    if runtime.wanted == Power.AWAKE:
        # It was activity up to this moment.
        cause = WakeCause.KEEP_ALIVE if lease.holder_kind == JobLease.SHELL else WakeCause.JOB_LEASE
        runtime.active_at, runtime.active_cause = now, cause
        runtime.save(update_fields=["active_at", "active_cause"])
    activity.reckon(runtime)
