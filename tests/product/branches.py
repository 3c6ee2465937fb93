"""A workspace of Acme with its shell ready on a VM, and its runtime awake where a test wants it so."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from envforge_protocol.contract import parse
from envforge_protocol.contract.digest import digest
from envforge_protocol.host.commands import Leased, Payload, Result, StartRuntime
from envforge_protocol.host.reports import Report, Reports, ShellConnected, ShellDisconnected
from envforge_protocol.host.runtimes import Limits, Manifest, Service
from envforge_protocol.host.workspaces import Storage
from envforge_protocol.host.workspaces import Workspace as WireWorkspace
from hosts import leases, queue, reports
from hosts.models import Host, HostCommand, HostRole
from orgs.models import Person
from orgs.operations import grant_role
from orgs.roles import Role, Scope
from projects.contracts import approved
from projects.models import Repository
from projects.operations import approve_contract
from tests.product.host_api.machines import new_host, place, token_of
from tests.product.things import HOST_KEY, Things, propose
from tests.product.world import World
from workspaces.models import (
    Certificate,
    CommandRun,
    Observed,
    RunningService,
    Runtime,
    Shell,
    ShellSession,
    ShellState,
    SleepCause,
    WakeCause,
    Workspace,
)
from workspaces.wants import want_asleep, want_awake

CONTRACT = """version: 1
service: {name: web}
command: run
ports: {web: 3000}
tests: {unit: {command: pytest -q, timeout: 90s}}
commands: {seed: [./seed, --all]}
"""


class Branch:
    """One workspace, and the VM of its shell as a daemon speaks from it."""

    def __init__(self, world: World) -> None:
        self.world, self.org_id = world, world.acme.id
        self.things = Things(world, None)
        self.id = UUID(self.things["workspace"])
        self.project_id = UUID(self.things["project_id"])
        self.host = new_host(world.acme, HostRole.SHELL)
        place(self.host, self.on_vm())
        self.token = token_of(self.host, uuid4())
        with tenancy.enter(self.org_id):
            Shell.objects.filter(workspace_id=self.id).update(
                observed=ShellState.READY,
                host=self.host,
                generation=1,
                ssh_port=2222,
                host_key=HOST_KEY,
                due_at=None,
            )

    def on_vm(self) -> WireWorkspace:
        storage = Storage(kind="directory", directory="/srv/w")
        return WireWorkspace(id=self.id, slug="main", user="w200000", uid=200_000, storage=storage)

    def awake(self, contract: str = CONTRACT) -> Host:
        """Its runtime awake on a VM of its own, with one service by this contract; answers the VM."""
        read = parse(contract.encode())
        self.approve(contract)
        host = new_host(self.world.acme)
        place(host, self.on_vm())
        with tenancy.enter(self.org_id):
            runtime = self._runtime()
            want_awake(runtime, actor=self.world.alice.as_actor(), cause=WakeCause.CONSOLE)
            runtime.observed, runtime.observed_at = Observed.AWAKE, timezone.now()
            runtime.host, runtime.generation, runtime.routed, runtime.due_at = host, 1, True, None
            runtime.save()
            service = Service(
                name="web",
                contract_digest=digest(read),
                account=3,
                command=("run",),
                directory="web",
                environment={"LEVEL": "high"},
                limits=Limits(memory_mib=64, cpu_millis=100),
            )
            RunningService.objects.filter(runtime=runtime).delete()
            RunningService.objects.create(
                runtime=runtime,
                epoch=runtime.epoch,
                name="web",
                repository_id=self.repository_id,
                proposal_id=approved([self.repository_id])[self.repository_id].id,
                contract_digest=digest(read),
                kind="app",
                account=3,
                host=host,
                generation=1,
                health="healthy",
                since=timezone.now(),
            )
            manifest = Manifest(epoch=runtime.epoch, services=(service,))
            key = f"start/{self.id}/{runtime.epoch}"
            queue.want(
                host_id=host.id,
                payload=StartRuntime(workspace=self.on_vm(), manifest=manifest),
                key=key,
                cause="test",
            )
        self.vm, self.vm_token = host, token_of(host, uuid4())
        return host

    def approve(self, contract: str = CONTRACT) -> None:
        """The contract is approved for the branch's one repository."""
        seen = propose(self.world, self.repository_id, contract)
        assert seen is not None
        approve_contract(actor=self.world.alice.as_actor(), org_id=self.org_id, proposal_id=seen)

    @property
    def repository_id(self) -> UUID:
        with tenancy.enter(self.org_id):
            return Repository.objects.get(project_id=self.project_id).id

    def asleep(self) -> None:
        with tenancy.enter(self.org_id):
            want_asleep(self._runtime(), actor=self.world.alice.as_actor(), cause=SleepCause.ASKED)

    def _runtime(self) -> Runtime:
        workspace = Workspace.objects.select_for_update().get(id=self.id)
        runtime = Runtime.objects.select_for_update().get(workspace=workspace)
        runtime.workspace = workspace
        return runtime

    @property
    def runtime(self) -> Runtime:
        with tenancy.enter(self.org_id):
            return Runtime.objects.get(workspace_id=self.id)

    def runs(self) -> list[CommandRun]:
        with tenancy.enter(self.org_id):
            return list(CommandRun.objects.filter(workspace_id=self.id).order_by("asked_at", "id"))

    @property
    def workspace(self) -> Workspace:
        with tenancy.enter(self.org_id):
            return Workspace.objects.get(id=self.id)

    def role(self, person: Person, role: Role = Role.COLLABORATOR) -> Person:
        """Give a member a role in this workspace."""
        grant_role(
            actor=self.world.alice.as_actor(),
            org_id=self.org_id,
            person_id=person.id,
            role=role,
            scope=Scope.WORKSPACE,
            scope_id=self.id,
        )
        return person

    def asked(self, kind: str, host: Host | None = None) -> list[Payload]:
        """What the VM was asked of this kind, in order."""
        with tenancy.enter(self.org_id):
            rows = HostCommand.objects.filter(host=host or self.host, kind=kind, workspace_id=self.id)
            return [hosts_payload(row) for row in rows.order_by("position")]

    def lease(self, token: str | None = None) -> list[Leased]:
        """What the VM takes now, with its credentials."""
        found = (leases.fill(one) for one in leases.lease(token or self.token))
        return [one for one in found if one is not None]

    def tell(self, leased: Leased, token: str | None = None, **result: Any) -> None:
        leases.record(token or self.token, leased.id, Result(lease=leased.lease, **result))

    def connect(self, serial: int, session: UUID | None = None, at: datetime | None = None) -> UUID:
        """The VM tells that somebody came in with this certificate."""
        session = session or uuid4()
        body = ShellConnected(workspace_id=self.id, session_id=session, serial=serial, key_id="whoever")
        self.report(body, at)
        return session

    def leave(self, serial: int, session: UUID, cause: Any = "left") -> None:
        self.report(
            ShellDisconnected(
                workspace_id=self.id, session_id=session, serial=serial, key_id="x", duration_s=7, cause=cause
            )
        )

    def report(self, body: Any, at: datetime | None = None) -> None:
        one = Report(id=uuid4(), at=at or timezone.now(), body=body)
        taken = reports.take(self.token, Reports(reports=(one,)))
        assert taken.ids == (one.id,)

    def sessions(self) -> list[ShellSession]:
        with tenancy.enter(self.org_id):
            return list(ShellSession.objects.filter(workspace_id=self.id).order_by("connected_at", "id"))

    def certificates(self) -> list[Certificate]:
        with tenancy.enter(self.org_id):
            return list(Certificate.objects.filter(workspace_id=self.id).order_by("issued_at", "id"))

    def events(self, *kinds: str) -> list[tuple[str, str, dict[str, Any]]]:
        with tenancy.enter(self.org_id):
            rows = Event.objects.filter(kind__in=kinds, workspace_id=self.id).order_by("at", "id")
            return [(row.kind, row.actor_label, row.facts) for row in rows]


def hosts_payload(row: HostCommand) -> Payload:
    payload = queue.payload_of(row)
    assert payload is not None
    return payload


def utc_of(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
