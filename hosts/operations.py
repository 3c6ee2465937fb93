"""What people ask of VMs themselves: an operator's commands, and the organization's choice of a VM per workspace."""

from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, NotVisible
from hosts.models import Host, HostRole, PlacementPolicy, Power, Size
from hosts.wants import is_used, lock_placements, new_host, touch, unused, want
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action


def request_host(*, actor: Actor, org_id: UUID, role: HostRole, size: Size) -> UUID:
    """Ask for a VM of the organization with nobody on it yet; unused, it is stopped after a while like any other.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        policy.require(actor, Action.HOST_DEDICATE, _organization(org_id))
        lock_placements()
        host = new_host(
            actor=actor, role=role, size=size, dedicated_to=None, now=timezone.now(), cause="asked"
        )
        return host.id


def start_host(*, actor: Actor, org_id: UUID, host_id: UUID) -> None:
    """Want a stopped VM running. Errors as `end_host`."""
    with tenancy.enter(org_id):
        host = _lock(actor, org_id, host_id)
        now = timezone.now()
        if host.unused_since is not None:
            host.unused_since = now
            touch(host, ("unused_since",))
        want(host, Power.RUNNING, cause="asked", now=now)


def stop_host(*, actor: Actor, org_id: UUID, host_id: UUID) -> None:
    """Want a VM stopped on which nobody is awake. Errors as `end_host`."""
    with tenancy.enter(org_id):
        host = _lock_unused(actor, org_id, host_id)
        want(host, Power.STOPPED, cause="asked", now=timezone.now())


def end_host(*, actor: Actor, org_id: UUID, host_id: UUID) -> None:
    """Want a VM ended on which nobody is awake; those who sleep there wake elsewhere.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; or there is no such VM.
        Conflict: somebody is awake on it, or it has ended.
    """
    with tenancy.enter(org_id):
        host = _lock_unused(actor, org_id, host_id)
        want(host, Power.ENDED, cause="asked", now=timezone.now())


def set_vm_per_workspace(*, actor: Actor, org_id: UUID, wanted: bool) -> None:
    """Choose whether every workspace gets VMs of its own, from its next waking on (V3). Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        organization = _organization(org_id)
        policy.require(actor, Action.HOST_DEDICATE, organization)
        lock_placements()
        chosen, _ = PlacementPolicy.objects.get_or_create(org_id=org_id)
        if chosen.vm_per_workspace != wanted:
            chosen.vm_per_workspace = wanted
            chosen.save(update_fields=["vm_per_workspace"])
            append(
                EventKind.ORGANIZATION_SETTING_CHANGED,
                actor=actor,
                target=organization,
                setting="vm_per_workspace.on" if wanted else "vm_per_workspace.off",
            )


def _organization(org_id: UUID) -> Organization:
    organization = Organization.objects.filter(id=org_id).first()
    if organization is None:
        raise NotVisible
    return organization


def _lock(actor: Actor, org_id: UUID, host_id: UUID) -> Host:
    policy.require(actor, Action.HOST_DEDICATE, _organization(org_id))
    lock_placements()
    host = Host.objects.select_for_update().filter(id=host_id).first()
    if host is None:
        raise NotVisible
    if host.wanted == Power.ENDED:
        raise Conflict(f"{host.name} has ended and does not come back. Ask for a new one.")
    return host


def _lock_unused(actor: Actor, org_id: UUID, host_id: UUID) -> Host:
    host = _lock(actor, org_id, host_id)
    if is_used(host):
        raise Conflict(f"Somebody is awake on {host.name}. Put those workspaces to sleep first.")
    unused(host, timezone.now())
    return host
