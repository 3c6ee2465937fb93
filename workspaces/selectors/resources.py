"""What the contracts of a workspace's services ask for beside them, how it is provided, and how it does (W3, W10)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from envforge.actor import Actor
from orgs import policy
from orgs.policy import Action
from orgs.selectors import visible
from projects.choices import Cleanup, Mode
from projects.models import ResourceMode
from workspaces.contracts import chosen
from workspaces.managed import on_vm
from workspaces.models import Account, Workspace
from workspaces.selectors import one as workspaces
from workspaces.selectors.one import OneWorkspace
from workspaces.states import State, now_of

TYPES = {"postgres": "PostgreSQL", "redis": "Valkey", "s3": "S3 store", "mail": "mail"}


@dataclass(frozen=True, slots=True)
class ResourceView:
    """One resource; `mode` is None where none is chosen. `health` is the word of the present wake as its VM last told, or empty, and
    `since` when it became so. `has_data`: something may lie with it, and `may_delete` whether the actor may have it deleted. `asked_at`: since when its data is to be deleted at the next wake.
    """

    repository: str
    name: str
    type: str
    service: str
    mode: Mode | None
    owner: str
    cleanup: Cleanup | None
    awake: bool
    health: str
    since: datetime | None
    has_data: bool
    may_delete: bool
    asked_at: datetime | None
    asked_by: str

    @property
    def managed(self) -> bool:
        """Whether its data lies with the workspace."""
        return self.mode == Mode.MANAGED_LOCAL


def of_workspace(actor: Actor, workspace: Workspace) -> list[ResourceView] | None:
    """Its resources by service and name, in the same number of queries however many; None for whoever may not see receipts."""
    may = policy.explain(actor, Action.RECEIPT_VIEW, Action.DATA_DELETE, target=workspace)
    if not may[Action.RECEIPT_VIEW].allowed:
        return None
    contracts = chosen(workspace).contracts
    modes = {
        (row.repository_id, row.resource): row
        for row in ResourceMode.objects.filter(repository_id__in=[one.repository.id for one in contracts])
    }
    accounts = {row.name: row for row in Account.objects.filter(workspace=workspace, name__contains="/")}
    runtime = workspace.runtime
    awake = now_of(workspace, workspace.shell, runtime).state == State.AWAKE
    found = []
    for one in contracts:
        for name, declared in sorted(one.contract.resources.items()):
            row = modes.get((one.repository.id, name))
            account = accounts.get(f"{one.repository.name}/{name}")
            told = runtime.resources.get(on_vm(name, account.number), {}) if account and awake else {}
            pending = account is not None and account.data_wanted != account.data_observed
            found.append(
                ResourceView(
                    repository=one.repository.name,
                    name=name,
                    type=TYPES[declared.type],
                    service=one.contract.service.name,
                    mode=Mode(row.mode) if row else None,
                    owner=row.owner if row else "",
                    cleanup=Cleanup(row.cleanup) if row else None,
                    awake=awake,
                    health=told.get("health", ""),
                    since=datetime.fromisoformat(told["since"]) if told else None,
                    has_data=account is not None,
                    may_delete=may[Action.DATA_DELETE].allowed,
                    asked_at=account.data_asked_at if account and pending else None,
                    asked_by=account.data_asked_by if account and pending else "",
                )
            )
    return sorted(found, key=lambda view: (view.service, view.name))


def resources(*, actor: Actor, slug: str, workspace_id: UUID) -> tuple[OneWorkspace, list[ResourceView]]:
    """A workspace with its resources.

    Raises:
        NotVisible: there is no such workspace for this actor.
        NotAllowed: the actor may see it, and not its receipts.
    """
    seen = workspaces.workspace(actor=actor, slug=slug, workspace_id=workspace_id)
    with visible(actor, slug):
        policy.require(actor, Action.RECEIPT_VIEW, seen.workspace)
        return seen, of_workspace(actor, seen.workspace) or []
