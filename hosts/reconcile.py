"""One step from what is wanted of a VM to what EC2 says of it (DESIGN 1, 6). Safe to run twice, at any time, anywhere.

A step leases the row in one transaction, speaks to EC2 outside of any, and records in another, on the condition that
nothing changed meanwhile. Where something did, or whoever leased it died, nothing is lost: the next step looks at EC2
anew, and finds by its tag what was made. Asking for an instance again is harmless by its token.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.utils import timezone

from envforge import tenancy
from hosts import ec2, records
from hosts.changes import may_go
from hosts.due import backoff
from hosts.ec2 import Order, Seen
from hosts.lookups import hosts_due, hosts_silent
from hosts.models import Host, Mend, Observed, Power
from hosts.steps import POLL, SILENT_AFTER, Decision, Step, decide
from hosts.user_data import user_data
from hosts.vendor import InsufficientCapacity, OutcomeUnknown, Refused, Vanished, VendorError
from hosts.volumes import zone_needed
from hosts.wants import END_AFTER, STOP_AFTER, is_used, want

# Longer than the calls of one step can take.
LEASE = timedelta(seconds=90)
STEPS_AT_ONCE = 6
SWEEP_S = 20
MOST_DUE = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step came to: what EC2 says, what was decided and done, and what kept it from being done."""

    seen: Seen | None
    decision: Decision
    failed: VendorError | None = None


def reconcile(org_id: UUID, host_id: UUID, *, look: bool = False) -> int:
    """Take the steps that are due for a host, several while the next is due at once; answers how many were taken.

    Args:
        look: take one even if none is due, since somebody saw something.
    """
    taken = 0
    while taken < STEPS_AT_ONCE and _take_step(org_id, host_id, look=look and not taken):
        taken += 1
    return taken


def sweep() -> int:
    """Take every step that is due and find the silent, as far as the time allows; costs as much as is due, whatever exists."""
    ends_at = time.monotonic() + SWEEP_S
    now = timezone.now()
    taken = 0
    due = [(pair, False) for pair in hosts_due(now, MOST_DUE)]
    silent = [(pair, True) for pair in hosts_silent(now - SILENT_AFTER, MOST_DUE)]
    for (org_id, host_id), look in [*due, *silent]:
        if time.monotonic() > ends_at:
            break
        try:
            taken += reconcile(org_id, host_id, look=look)
        except Exception:
            # One host that cannot be recorded must not keep the others; its lease ends by itself.
            log.exception("host.failed", host=str(host_id))
    return taken


def note_impaired(org_id: UUID, host_id: UUID, instance_id: str) -> None:
    """EC2 says that the VM's checks fail: replace it, if it is still that one and wanted."""
    with tenancy.enter(org_id):
        host = Host.objects.select_for_update().filter(id=host_id, instance_id=instance_id).first()
        if host is None or host.wanted != Power.RUNNING or host.mend == Mend.REPLACE:
            return
        now = timezone.now()
        records.begin_mending(host, Mend.REPLACE, "checks", now)
        host.due_at = now
        host.version += 1
        host.save()


def _take_step(org_id: UUID, host_id: UUID, *, look: bool) -> bool:
    with tenancy.enter(org_id):
        host = _lease(host_id, look=look)
    if host is None:
        return False
    outcome = _carry_out(host)
    with tenancy.enter(org_id):
        _record(host, outcome)
    return True


def _lease(host_id: UUID, *, look: bool) -> Host | None:
    """The host, to be looked at by us alone for a while; None where nothing is due or somebody else is at it."""
    host = Host.objects.select_for_update(skip_locked=True).filter(id=host_id).first()
    now = timezone.now()
    if host is None or (host.observed == Observed.ENDED and host.wanted == Power.ENDED):
        return None
    if host.leased_until is not None and host.leased_until > now:
        return None
    if not look and (host.due_at is None or host.due_at > now):
        return None
    _pass_time(host, now)
    if not host.instance_id and host.wanted == Power.RUNNING and host.mend == Mend.NOTHING:
        # Before it is asked for: whoever finds nothing later must know that something may still appear.
        host.asked_at = now
    host.leased_until = now + LEASE
    # Should we die, it is due when the lease ends.
    host.due_at = min(host.due_at or now, now)
    host.version += 1
    host.save(update_fields=["asked_at", "leased_until", "due_at", "version"])
    return host


def _pass_time(host: Host, now: datetime) -> None:
    """What the passing of time alone makes wanted: unused VMs stop, and end. Placing somebody here takes the same row's lock."""
    if host.unused_since is None or is_used(host):
        return
    if host.wanted == Power.RUNNING and now - host.unused_since >= STOP_AFTER:
        want(host, Power.STOPPED, cause="idle", now=now)
    if host.wanted == Power.STOPPED and now - host.unused_since >= END_AFTER:
        want(host, Power.ENDED, cause="unused", now=now)


def _carry_out(host: Host) -> Outcome:
    """Look, decide, and do it, at EC2 and in no transaction."""
    seen: Seen | None = None
    decision = Decision(Step.REST, look_at=timezone.now() + POLL)
    try:
        seen = ec2.describe(host.instance_id) if host.instance_id else _find(host)
        with tenancy.enter(host.org_id):
            let_go, zone = may_go(host), zone_needed(host)
        decision = decide(host, seen, timezone.now(), let_go=let_go)
        made = _do(host, seen, decision.step, zone)
        return Outcome(made or seen, decision)
    except VendorError as failed:
        log.warning(
            "host.put_off",
            host=str(host.id),
            step=decision.step.name,
            trouble=failed.trouble,
            code=failed.code,
        )
        return Outcome(seen, decision, failed)


def _find(host: Host) -> Seen | None:
    """The instance that was made for this generation and not recorded. Others with the host's tag are ours too, from an
    earlier generation or a race, recorded nowhere, and ended."""
    found = ec2.find_by_host(host.id)
    own = [seen for seen in found if seen.generation == host.generation and seen.org_id == str(host.org_id)]
    for seen in found:
        # One of a later generation is somebody's who overtook us.
        if seen not in own[:1] and seen.generation <= host.generation:
            log.warning("host.duplicate_ended", host=str(host.id), instance=seen.instance_id)
            ec2.end(seen.instance_id)
    return own[0] if own else None


def _do(host: Host, seen: Seen | None, step: Step, zone: str) -> Seen | None:
    """Ask EC2 for what the step needs of it."""
    if step is Step.RUN:
        kind, subnet = option_of(host, zone)
        return ec2.run(
            Order(
                token=client_token(host),
                org_id=host.org_id,
                host_id=host.id,
                generation=host.generation,
                role=host.role,
                size=host.size,
                instance_type=kind,
                subnet=subnet,
                security_group=ec2.security_group(host.org_id),
                user_data=user_data(host, ec2.base_image().version),
            )
        )
    if seen is not None:
        if step is Step.START:
            ec2.start(seen.instance_id)
        elif step in {Step.STOP, Step.FORCE_STOP}:
            ec2.stop(seen.instance_id, force=step is Step.FORCE_STOP)
        elif step is Step.END:
            ec2.end(seen.instance_id)
    return None


def options(host: Host, zone: str) -> list[tuple[str, str]]:
    """Types and subnets of the host's size in the order they are tried: the best type in every zone, then the next.

    Args:
        zone: the only one that will do, for the sake of volumes; empty for any.
    """
    subnets = [one for one in settings.HOST_SUBNETS if not zone or ec2.zone_of_subnet(one) == zone]
    # Hosts begin in different zones.
    first = host.id.int % len(subnets) if subnets else 0
    return [
        (kind, subnet)
        for kind in settings.HOST_TYPES[host.size]
        for subnet in subnets[first:] + subnets[:first]
    ]


def option_of(host: Host, zone: str) -> tuple[str, str]:
    """What is tried now.

    Raises:
        Refused: the settings name no subnet, or none in this zone.
    """
    choices = options(host, zone)
    if not choices:
        raise Refused("NoSubnets")
    return choices[host.option % len(choices)]


def client_token(host: Host) -> str:
    """The same for every asking for this generation and option, whoever asks: EC2 answers with one instance. An option is
    left only after EC2 said that it made nothing."""
    return hashlib.sha256(f"{host.id}:{host.generation}:{host.option}".encode()).hexdigest()


def _record(leased: Host, outcome: Outcome) -> None:
    """Write down what the step came to, unless the host changed meanwhile; then it is looked at again."""
    host = Host.objects.select_for_update().get(id=leased.id)
    now = timezone.now()
    if host.version != leased.version:
        if host.leased_until == leased.leased_until:
            Host.objects.filter(id=host.id).update(leased_until=None, due_at=now)
        return
    if outcome.failed is None:
        _apply(host, outcome, now)
    else:
        _put_off(host, outcome, outcome.failed, now)
    host.leased_until = None
    host.version += 1
    host.save()


def _apply(host: Host, outcome: Outcome, now: datetime) -> None:
    decision = outcome.decision
    # What EC2 does not show may still appear: a rest takes nothing for gone.
    if outcome.seen is not None or (host.instance_id and decision.step is not Step.REST):
        records.observe(host, outcome.seen, now)
    host.due_at = decision.look_at
    host.attempts = 0
    host.trouble = "holders" if decision.step is Step.HOLD else _lasting(host)
    match decision.step:
        case Step.START:
            host.mend, host.mend_cause = Mend.NOTHING, ""
            records.set_observed(host, Observed.PENDING, now)
        case Step.STOP | Step.FORCE_STOP:
            records.set_observed(host, Observed.STOPPING, now)
        case Step.END:
            records.set_observed(host, Observed.ENDING, now)
        case Step.RESTART:
            records.begin_mending(host, Mend.RESTART, decision.cause, now)
        case Step.REPLACE:
            records.begin_mending(host, Mend.REPLACE, decision.cause, now)
        case Step.RENEW:
            records.renew(host, decision.cause, now)
        case Step.CLOSE:
            records.close(host, decision.cause, now)
        case _:
            pass


def _lasting(host: Host) -> str:
    """The trouble that is over only when the VM works."""
    return host.mend_cause if host.mend else ""


def _put_off(host: Host, outcome: Outcome, failed: VendorError, now: datetime) -> None:
    """Try again later: the next zone or type at once, anything else after a growing, jittered while."""
    if outcome.seen is not None:
        records.observe(host, outcome.seen, now)
    running = outcome.decision.step is Step.RUN
    if running and failed.code == "IdempotentParameterMismatch":
        # Asked for with other settings before, and nothing came of it: the next generation has a token of its own.
        records.renew(host, "settings", now)
        return
    if running and isinstance(failed, InsufficientCapacity):
        host.option += 1
        # Zones were looked up by the step that failed.
        if host.option % len(options(host, zone_needed(host))):
            host.trouble, host.due_at = failed.trouble, now
            return
    if isinstance(failed, Vanished) or failed.code == "IncorrectInstanceState":
        host.due_at = now + POLL
        return
    host.attempts += 1
    host.trouble = failed.trouble
    host.due_at = now + (
        POLL if isinstance(failed, OutcomeUnknown) and host.attempts == 1 else backoff(host.attempts)
    )
