"""Resources that a workspace's own VM runs for it (W3): each with an account, a port and a place on the workspace's volume."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge_protocol.host.resources import Resource, ResourceReadiness, assign_ports
from envforge_protocol.host.runtimes import Limits
from hosts.volumes import drop_volume, volume_of, want_volume
from projects.choices import Cleanup, Mode
from projects.models import ResourceMode
from workspaces.contracts import Chosen
from workspaces.models import Account, Workspace
from workspaces.wire import account_of

# What one may take at most, whatever the runtime's size.
LIMITS = {
    "postgres": Limits(memory_mib=1024, cpu_millis=2000),
    "redis": Limits(memory_mib=512, cpu_millis=1000),
    "s3": Limits(memory_mib=1024, cpu_millis=2000),
    "mail": Limits(memory_mib=256, cpu_millis=500),
}

# Says why a service cannot be woken: its name, at what, in words.
Block = Callable[[str, str, str], None]


@dataclass(slots=True)
class Managed:
    """`resources` for the manifest; `names`, by repository: which of them stands behind a name in its contract."""

    resources: list[Resource] = field(default_factory=list)
    names: dict[UUID, dict[str, str]] = field(default_factory=dict)


def resources_of(
    workspace: Workspace, chosen: Iterable[Chosen], used: Mapping[UUID, Iterable[str]], block: Block
) -> Managed:
    """The resources that services of a locked workspace use, and a volume wanted for their data.

    Args:
        used: by repository, the managed resources that its service's environment names.
    """
    made = Managed()
    contracts = list(chosen)
    modes = {
        (mode.repository_id, mode.resource): mode
        for mode in ResourceMode.objects.filter(repository_id__in=list(used), mode=Mode.MANAGED_LOCAL)
    }
    accounts: dict[tuple[UUID, str], int] = {}
    numbered = {
        name: (wanted, observed)
        for name, wanted, observed in Account.objects.filter(workspace=workspace).values_list(
            "name", "data_wanted", "data_observed"
        )
    }
    for one in contracts:
        for name in sorted(used.get(one.repository.id, ())):
            account = account_of(workspace, f"{one.repository.name}/{name}")
            if account is None:
                block(
                    one.contract.service.name,
                    "host",
                    "A workspace has room for 15 services and resources, and has as many already.",
                )
                return made
            accounts[one.repository.id, name] = account
            made.names.setdefault(one.repository.id, {})[name] = on_vm(name, account)
    if not accounts:
        return made
    taken = {port.number for one in contracts for port in one.contract.ports.values()}
    ports = assign_ports((on_vm(name, account) for (_, name), account in accounts.items()), taken)
    for one in contracts:
        for name, called in made.names.get(one.repository.id, {}).items():
            declared = one.contract.resources[name]
            data, seen = numbered.get(f"{one.repository.name}/{name}", (0, 0))
            made.resources.append(
                Resource(
                    name=called,
                    type=declared.type,
                    version=declared.version,
                    account=accounts[one.repository.id, name],
                    port=ports[called],
                    ready_within_s=modes[one.repository.id, name].ready_within_s,
                    limits=LIMITS[declared.type],
                    data=data,
                    data_seen=seen,
                )
            )
    want_volume(org_id=workspace.org_id, workspace_id=workspace.id)
    return made


def remove(org_id: UUID, workspace_id: UUID) -> int:
    """Give up the volume of a workspace that goes, unless one of its resources is to be kept (`workspaces.removals`)."""
    with tenancy.enter(org_id):
        workspace = Workspace.objects.get(id=workspace_id)
        names = set(
            Account.objects.filter(workspace=workspace, name__contains="/").values_list("name", flat=True)
        )
        kept = ResourceMode.objects.filter(
            repository__project_id=workspace.project_id, mode=Mode.MANAGED_LOCAL, cleanup=Cleanup.KEEP
        ).values_list("repository__name", "resource")
        if any(f"{repository}/{resource}" in names for repository, resource in kept):
            return 0
        if volume_of(org_id=org_id, workspace_id=workspace_id) is None:
            return 0
        drop_volume(org_id=org_id, workspace_id=workspace_id)
        return 1


def note_data(workspace: Workspace, told: Iterable[ResourceReadiness]) -> None:
    """Whose data was deleted, as a wake of a locked workspace tells; told again, it is no news."""
    numbers = {one.name: one.data for one in told if one.data}
    if not numbers:
        return
    for account in Account.objects.filter(workspace=workspace, name__contains="/"):
        number = numbers.get(on_vm(account.name.rpartition("/")[2], account.number), 0)
        if number <= account.data_observed:
            continue
        asked_by = account.data_asked_by or SYSTEM.label
        account.data_observed, account.data_wanted = number, max(number, account.data_wanted)
        account.data_asked_at, account.data_asked_by = None, ""
        account.save()
        append(
            EventKind.RESOURCE_DATA_DELETED,
            actor=SYSTEM,
            target=workspace,
            resource=account.name,
            asked_by=asked_by,
        )


def on_vm(name: str, account: int) -> str:
    """A name that is the workspace's only one, and stays: what it names is where the data lies."""
    return f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-') or 'resource'}-{account}"
