"""Which services of a workspace the gateways may lead to, for `devlinks`: known while the runtime is awake, by its epoch (G2).

Listeners and holders are registered from `AppConfig.ready`, and called inside the organization's tenancy and transaction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from envforge.nudge import nudge
from hosts.models import Host
from workspaces.models import RunningService, Runtime, Wake


@dataclass(frozen=True, slots=True)
class Route:
    """A service and where its ingress is: `address` is its VM's, for gateways alone, and `ingress` the port there."""

    service: str
    kind: str
    repository_id: UUID
    proposal_id: UUID
    contract_digest: str
    address: str
    ingress: int
    epoch: int
    healthy: bool


@dataclass(frozen=True, slots=True)
class RouteChange:
    """Routes of an epoch came (`present`) or went."""

    workspace_id: UUID
    epoch: int
    present: bool


Listener = Callable[[RouteChange], None]
# Answers whether nobody is led to this epoch of a workspace any more.
Holder = Callable[[UUID, int], bool]

_listeners: list[Listener] = []
_holders: dict[str, Holder] = {}


def on_route_change(listener: Listener) -> None:
    """Register what is told when a workspace's routes come or go."""
    _listeners.append(listener)


def before_routes_go(name: str, holder: Holder) -> None:
    """Register whose word is needed before the services behind withdrawn routes are stopped (THREATS G2)."""
    if _holders.setdefault(name, holder) is not holder:
        raise ValueError(f"{name} already has a word in whether routes are gone.")


def routes_of(workspace_id: UUID) -> list[Route]:
    """The routes of a workspace of the entered organization; none unless its runtime is awake and wanted so."""
    rows = RunningService.objects.filter(
        runtime__workspace_id=workspace_id, runtime__routed=True, ingress__isnull=False
    ).select_related("host")
    return [
        Route(
            row.name,
            row.kind,
            row.repository_id,
            row.proposal_id,
            row.contract_digest,
            row.host.address or "",
            row.ingress or 0,
            row.epoch,
            row.health == "healthy",
        )
        for row in rows.order_by("name")
        if row.host.address and row.host.generation == row.generation
    ]


def publish(runtime: Runtime) -> None:
    """Let the gateways lead to a locked runtime's services; the caller saves the row."""
    runtime.routed = True
    _tell(RouteChange(runtime.workspace_id, runtime.epoch, present=True))


def withdraw(runtime: Runtime) -> None:
    """Let the gateways lead there no more; again, it changes nothing. The caller saves the row."""
    if runtime.routed:
        runtime.routed = False
        _tell(RouteChange(runtime.workspace_id, runtime.epoch, present=False))


def are_gone(runtime: Runtime, epoch: int) -> bool:
    """Whether nobody is led to this epoch any more; to one that never was ready nobody was."""
    if not Wake.objects.filter(runtime=runtime, epoch=epoch, ready_at__isnull=False).exists():
        return True
    return all(holder(runtime.workspace_id, epoch) for holder in _holders.values())


def nobody_is_led(org_id: UUID, workspace_id: UUID) -> None:
    """A holder's word that may have changed: the services behind withdrawn routes are stopped without waiting for the next sweep."""
    from workspaces import tasks  # noqa: PLC0415 - a task leads to the reconciler, which leads here

    nudge(tasks.stop_at_once, org_id, workspace_id)


def let_go(host: Host) -> bool:
    """Whether nobody is led to a VM any more: for `hosts.changes.before_host_goes`."""
    led = RunningService.objects.filter(host=host, ingress__isnull=False).select_related("runtime")
    for runtime, epoch in {(row.runtime, row.epoch) for row in led}:
        if runtime.routed and runtime.host_id == host.id:
            return False
        if not are_gone(runtime, epoch):
            return False
    return True


def _tell(change: RouteChange) -> None:
    for listener in _listeners:
        listener(change)
