"""What the contracts of a workspace's services ask for beside them, how it is provided, and how it came up (W3, W10)."""

from dataclasses import dataclass

from envforge.actor import Actor
from orgs import policy
from orgs.policy import Action
from projects.choices import Cleanup, Mode
from projects.models import ResourceMode
from workspaces.contracts import chosen
from workspaces.managed import on_vm
from workspaces.models import Account, Wake, Workspace
from workspaces.states import State, now_of

TYPES = {"postgres": "PostgreSQL", "redis": "Valkey", "s3": "S3 store", "mail": "mail"}


@dataclass(frozen=True, slots=True)
class ResourceView:
    """One resource; `mode` is None where none is chosen, `health` the word of the present wake or empty."""

    name: str
    type: str
    service: str
    mode: Mode | None
    owner: str
    cleanup: Cleanup | None
    awake: bool
    health: str

    @property
    def managed(self) -> bool:
        """Whether its data lies with the workspace."""
        return self.mode == Mode.MANAGED_LOCAL


def of_workspace(actor: Actor, workspace: Workspace) -> list[ResourceView] | None:
    """Its resources by service and name, in the same number of queries however many; None for whoever may not see receipts."""
    if not policy.explain(actor, Action.RECEIPT_VIEW, target=workspace)[Action.RECEIPT_VIEW].allowed:
        return None
    contracts = chosen(workspace).contracts
    modes = {
        (row.repository_id, row.resource): row
        for row in ResourceMode.objects.filter(repository_id__in=[one.repository.id for one in contracts])
    }
    accounts = dict(
        Account.objects.filter(workspace=workspace, name__contains="/").values_list("name", "number")
    )
    runtime = workspace.runtime
    wake = Wake.objects.filter(runtime=runtime, epoch=runtime.epoch).first()
    awake = now_of(workspace, workspace.shell, runtime).state == State.AWAKE
    found = []
    for one in contracts:
        for name, declared in sorted(one.contract.resources.items()):
            row = modes.get((one.repository.id, name))
            account = accounts.get(f"{one.repository.name}/{name}")
            told = wake.resources if wake is not None and account is not None else {}
            found.append(
                ResourceView(
                    name=name,
                    type=TYPES[declared.type],
                    service=one.contract.service.name,
                    mode=Mode(row.mode) if row else None,
                    owner=row.owner if row else "",
                    cleanup=Cleanup(row.cleanup) if row else None,
                    awake=awake,
                    health=told.get(on_vm(name, account), "") if account is not None else "",
                )
            )
    return sorted(found, key=lambda view: (view.service, view.name))
