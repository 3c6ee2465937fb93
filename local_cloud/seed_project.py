"""Acme's project Scheduler: the example repositories as the git host publishes them, with all that a wake needs, and
the workspace of their main branch.

Everything is the act of Acme's owner; what a VM would propose is proposed by EnvForge. A repository about whose
contract anything was decided is people's own from then on, and only follows the git host to another port.
"""

import secrets
from uuid import UUID

from envforge import tenancy
from envforge.actor import SYSTEM, Actor
from envforge.secret_value import SecretValue
from envforge_protocol.contract import BadContract, parse
from envforge_protocol.contract.digest import digest
from local_cloud.git.names import RepositoryName
from local_cloud.git.publishing import BRANCH, EXAMPLES, published
from local_cloud.git.store import Store
from local_cloud.seed_app import seed_app
from projects import operations
from projects.choices import Decision, Source
from projects.models import Project, Proposal, Repository
from secrets_ref.models import Secret
from secrets_ref.operations import set_secret
from workspaces.models import Workspace
from workspaces.operations.workspaces import open_workspace

SLUG = "scheduler"
BACKEND, WEB = (RepositoryName("acme", name) for name in ("scheduler-backend", "scheduler-web"))


def seed_project(store: Store, git_url: str, *, org_id: UUID, owner: Actor) -> None:
    """Make the project, or what is missing of it; nothing where it is archived."""
    with tenancy.enter(org_id):
        project = Project.objects.filter(slug=SLUG).first()
    if project is None:
        project = operations.create_project(actor=owner, org_id=org_id, slug=SLUG, name="Scheduler")
    if project.archived_at is not None:
        return
    seeding = _Seeding(store, git_url, owner, org_id, project)
    # The pages are bound to the backend, which must be approved by then.
    for name in sorted(EXAMPLES, key=(BACKEND, WEB).index):
        seeding.repository(name)
    with tenancy.enter(org_id):
        was_opened = Workspace.objects.filter(project=project).exists()
    if not was_opened:
        open_workspace(actor=owner, org_id=org_id, project_id=project.id, branch=BRANCH)


class _Seeding:
    def __init__(self, store: Store, git_url: str, owner: Actor, org_id: UUID, project: Project) -> None:
        self._store, self._git_url = store, git_url
        self._owner, self._org_id, self._project = owner, org_id, project

    def repository(self, name: RepositoryName) -> None:
        """Add a repository, and have its contract bound and approved."""
        found = published(self._store, name)
        repository = self._added(name) if found else None
        if found is None or repository is None or self._is_decided(repository):
            return
        try:
            contract = parse(found.contract.encode())
        except BadContract:
            return
        seen = operations.propose_contract(
            actor=SYSTEM,
            org_id=self._org_id,
            repository_id=repository.id,
            branch=BRANCH,
            commit=found.commit,
            text=found.contract,
            digest=digest(contract),
        )
        for given in contract.inputs:
            self._bind(repository, given)
        if seen.proposal_id:
            operations.approve_contract(actor=self._owner, org_id=self._org_id, proposal_id=seen.proposal_id)

    def _added(self, name: RepositoryName) -> Repository | None:
        """The repository in the project; None where people have taken it out."""
        url = f"{self._git_url}/{name}.git"
        with tenancy.enter(self._org_id):
            known = Repository.objects.filter(project=self._project, name=name.name)
            row = known.order_by("removed_at").last()
        if row is None:
            return operations.add_repository(
                actor=self._owner,
                org_id=self._org_id,
                project_id=self._project.id,
                name=name.name,
                url=url,
                app=self._app(name),
            )
        if row.removed_at is not None:
            return None
        if row.url != url and row.url.startswith("http://localhost:") and row.url.endswith(f"/{name}.git"):
            operations.change_repository(
                actor=self._owner,
                org_id=self._org_id,
                repository_id=row.id,
                url=url,
                default_branch=row.default_branch,
                access_id=row.access_id,
                app=self._app(name) if row.app_id else "",
            )
        return row

    def _app(self, name: RepositoryName) -> str:
        return seed_app(self._store, self._git_url, name.owner, org_id=self._org_id, actor=self._owner)

    def _is_decided(self, repository: Repository) -> bool:
        with tenancy.enter(self._org_id):
            rows = Proposal.objects.filter(repository=repository)
            return rows.exclude(decision=Decision.PROPOSED).exists()

    def _bind(self, repository: Repository, name: str) -> None:
        if name == "CALENDAR_SIGNING_KEY":
            key = self._secret(name, SecretValue(secrets.token_urlsafe(32)))
            self._bound(repository, name, Source.SECRET, secret_id=key)
        elif name == "ORGANIZATION_NAME":
            self._bound(repository, name, Source.LITERAL, literal="Acme")
        elif name == "BACKEND_URL":
            with tenancy.enter(self._org_id):
                backend = Repository.objects.get(project=self._project, name=BACKEND.name, removed_at=None)
            self._bound(repository, name, Source.ROUTE, route_to_id=backend.id)

    def _bound(
        self,
        repository: Repository,
        name: str,
        source: Source,
        *,
        secret_id: UUID | None = None,
        literal: str = "",
        route_to_id: UUID | None = None,
    ) -> None:
        operations.bind_input(
            actor=self._owner,
            org_id=self._org_id,
            repository_id=repository.id,
            name=name,
            source=source,
            secret_id=secret_id,
            literal=literal,
            route_to_id=route_to_id,
        )

    def _secret(self, name: str, value: SecretValue) -> UUID:
        """The project's secret of this name, which has the value if it was not there."""
        with tenancy.enter(self._org_id):
            row = Secret.objects.filter(name=name, project_id=self._project.id, deleted_at=None).first()
        if row is None or row.version is None:
            row = set_secret(
                actor=self._owner,
                org_id=self._org_id,
                name=name,
                value=value,
                project_id=self._project.id,
            )
        return row.id
