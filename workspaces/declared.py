"""What people declare in the shell: that the runtime is needed for a while (W7). VMs say it with every heartbeat.

It is a lease like a job's, held by the workspace's shell. What was told before changes nothing, also where a person has ended the lease
since, or a usage cap refused it: only another declaration counts anew.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from audit.append import append
from audit.facts import name_text
from audit.kinds import EventKind
from envforge.actor import Actor, HostActor, SystemActor
from envforge_protocol.host.reports import Heartbeat
from envforge_protocol.host.runtimes import Declared
from orgs.policy import Action
from workspaces import activity, caps
from workspaces.leases import end_lease
from workspaces.models import JobLease, Power, Presence, Runtime, ShellSession, WakeCause
from workspaces.sessions import holder_of

NAMELESS = "no reason given"
ITS_SHELL = "Its shell"
# Clocks of VMs differ a little.
SLACK = timedelta(minutes=1)


def note(actor: HostActor, heartbeat: Heartbeat) -> None:
    """Follow the declarations that are other than was told before."""
    told = {one.workspace_id: one.declared for one in heartbeat.activity if one.declared is not None}
    if not told:
        return
    leases = JobLease.objects.filter(runtime__workspace_id__in=told, holder_kind=JobLease.SHELL)
    latest = leases.order_by("runtime", "-began_at", "-id").distinct("runtime").select_related("runtime")
    known = {lease.runtime.workspace_id: lease for lease in latest}
    now = timezone.now()
    for workspace_id, declared in told.items():
        if declared.until <= now + activity.KEPT_AWAKE_AT_MOST + SLACK and _is_news(
            declared, known.get(workspace_id), now
        ):
            _follow(workspace_id, declared, known.get(workspace_id), now)


def _is_news(declared: Declared, last: JobLease | None, now: datetime) -> bool:
    if declared.until <= now:
        return last is not None and last.released_at is None and last.until > now
    return last is None or last.until != declared.until


def _follow(workspace_id: UUID, declared: Declared, last: JobLease | None, now: datetime) -> None:
    # A heartbeat tells of many workspaces, and waits for none of them while it holds another: the next one says the same.
    rows = Runtime.objects.select_for_update(skip_locked=True, of=("self",)).select_related("workspace")
    runtime = rows.filter(workspace_id=workspace_id, workspace__wanted=Presence.PRESENT).first()
    if runtime is None:
        return
    who = _who(runtime)
    if declared.until <= now:
        if last is not None:
            end_lease(last, runtime, actor=who)
        return
    if runtime.wanted != Power.AWAKE:
        # It wakes nothing; once it is awake, what is said then counts.
        return
    held = JobLease.objects.filter(runtime=runtime, released_at=None)
    held.filter(Q(holder_kind=JobLease.SHELL) | Q(until__lte=now)).update(released_at=now)
    name = _name(declared)
    lease = JobLease.objects.create(
        runtime=runtime,
        # Of those that hold it awake each has a name of its own.
        name=f"{name[:60]} (declared in the shell)"[:80] if held.filter(name=name).exists() else name,
        held_by=who.label[:200],
        holder_kind=JobLease.SHELL,
        holder_id=str(workspace_id),
        began_at=now,
        until=declared.until,
    )
    try:
        caps.require_below_cap(runtime)
    except caps.CapReached:
        lease.released_at = now
        lease.save(update_fields=["released_at"])
        append(
            EventKind.ACCESS_DENIED, actor=who, target=runtime, action=Action.RUNTIME_WAKE.value, rule="cap"
        )
    else:
        append(
            EventKind.RUNTIME_EXTENDED,
            actor=who,
            target=runtime,
            cause=WakeCause.KEEP_ALIVE,
            until=lease.until,
            job=lease.name,
        )
    activity.reckon(runtime)


def _name(declared: Declared) -> str:
    try:
        return name_text(declared.reason.strip())
    except ValueError:
        return NAMELESS


def _who(runtime: Runtime) -> Actor:
    """Whoever is in the shell, if that is one alone: the VM does not know who typed it."""
    open_ones = ShellSession.objects.filter(workspace_id=runtime.workspace_id, disconnected_at=None)
    certificates = [one.certificate for one in open_ones.select_related("certificate")]
    if len({(one.holder_kind, one.holder_id) for one in certificates}) == 1:
        return holder_of(certificates[0])
    return SystemActor(id="shell", label=ITS_SHELL)
