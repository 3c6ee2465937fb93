"""A workspace of Acme as tests drive it: its steps are taken here, its VMs are EC2's, and their daemons are played."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from audit.models import Event
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.errors import EnvForgeError
from envforge_protocol.contract import parse
from envforge_protocol.contract.digest import digest
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.commands import (
    ContractRead,
    Done,
    Failure,
    Outcome,
    RuntimeStarted,
    ShellPrepared,
    StartRuntime,
)
from envforge_protocol.host.resources import ResourceReadiness
from envforge_protocol.host.runtimes import Blocker, Health, Readiness, ServiceReadiness
from hosts import files, queue
from hosts.models import Host, HostCommand, WorkspaceFiles
from projects import operations as projects
from projects.choices import Source
from projects.models import Proposal
from tests.product.hosts.fleet import Fleet
from tests.product.world import World
from workspaces import news
from workspaces.models import (
    Checkout,
    HostNews,
    MeterWindow,
    RunningService,
    Runtime,
    Shell,
    Wake,
    WakeCause,
    Workspace,
)
from workspaces.operations import runtimes as runtime_operations
from workspaces.operations import workspaces as workspace_operations
from workspaces.reconcile import removal, runtimes, shells

if TYPE_CHECKING:
    from tests.product.hosts.conftest import Clock

WEB = """version: 1
service: {name: web}
command: run web
ports: {web: 3000}
inputs: {BACKEND_URL: route}
env: {BACKEND_URL: "${inputs.BACKEND_URL}", PORT: "${ports.web}"}
health: {http: /health}
"""
BACKEND = "version: 1\nservice: {name: backend}\ncommand: [run, it]\nports: {api: 4000}\n"


class Desk:
    """A project with two approved services, and one workspace of it."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world, self.clock = world, clock
        self.org_id: UUID = world.acme.id
        self.alice = world.alice.as_actor()
        self.fleet = Fleet(self.org_id, clock)
        self.project = projects.create_project(
            actor=self.alice, org_id=self.org_id, slug="scheduler", name="Scheduler"
        )
        self.texts = {"backend": BACKEND, "web": WEB}
        self.repositories = {name: self.add_repository(name) for name in self.texts}
        for name, text in self.texts.items():
            self.approve(name, text)
        projects.bind_input(
            actor=self.alice,
            org_id=self.org_id,
            repository_id=self.repositories["web"],
            name="BACKEND_URL",
            source=Source.ROUTE,
            route_to_id=self.repositories["backend"],
        )
        self.workspace = workspace_operations.open_workspace(
            actor=self.alice, org_id=self.org_id, project_id=self.project.id, branch="feature/rooms"
        )

    def add_repository(self, name: str) -> UUID:
        made = projects.add_repository(
            actor=self.alice,
            org_id=self.org_id,
            project_id=self.project.id,
            name=name,
            url=f"https://git.test/acme/{name}.git",
        )
        return made.id

    def approve(self, name: str, text: str) -> None:
        seen = projects.propose_contract(
            actor=SYSTEM,
            org_id=self.org_id,
            repository_id=self.repositories[name],
            branch="main",
            commit="c" * 40,
            text=text,
            digest=digest(parse(text.encode())),
        )
        assert seen.proposal_id
        projects.approve_contract(actor=self.alice, org_id=self.org_id, proposal_id=seen.proposal_id)

    # What there is now.

    def row(self) -> Workspace:
        with tenancy.enter(self.org_id):
            return Workspace.objects.get(id=self.workspace.id)

    def shell(self) -> Shell:
        with tenancy.enter(self.org_id):
            return Shell.objects.get(workspace_id=self.workspace.id)

    def runtime(self) -> Runtime:
        with tenancy.enter(self.org_id):
            return Runtime.objects.select_related("host").get(workspace_id=self.workspace.id)

    def wakes(self) -> list[Wake]:
        with tenancy.enter(self.org_id):
            return list(Wake.objects.filter(runtime__workspace_id=self.workspace.id).order_by("epoch"))

    def windows(self) -> list[MeterWindow]:
        with tenancy.enter(self.org_id):
            return list(MeterWindow.objects.filter(workspace_id=self.workspace.id).order_by("epoch"))

    def services(self) -> dict[str, RunningService]:
        with tenancy.enter(self.org_id):
            rows = RunningService.objects.filter(runtime__workspace_id=self.workspace.id)
            return {row.name: row for row in rows}

    def proposals(self, name: str) -> list[Proposal]:
        with tenancy.enter(self.org_id):
            return list(
                Proposal.objects.filter(repository_id=self.repositories[name]).order_by("proposed_at")
            )

    def events(self, kind: str) -> list[Event]:
        return self.fleet.events(kind)

    def checkout(self, name: str) -> Checkout:
        with tenancy.enter(self.org_id):
            return Checkout.objects.get(repository_id=self.repositories[name], workspace_id=self.workspace.id)

    def commands(self, kind: str, *, open_only: bool = True) -> list[HostCommand]:
        with tenancy.enter(self.org_id):
            rows = HostCommand.objects.filter(workspace_id=self.workspace.id, kind=kind).order_by("position")
            return [row for row in rows if row.finished_at is None or not open_only]

    # What people do.

    def wake(self, cause: WakeCause = WakeCause.CONSOLE, **others: Any) -> Any:
        return runtime_operations.wake_runtime(
            actor=self.alice, org_id=self.org_id, workspace_id=self.workspace.id, cause=cause, **others
        )

    def sleep(self) -> Any:
        return runtime_operations.sleep_runtime(
            actor=self.alice, org_id=self.org_id, workspace_id=self.workspace.id
        )

    # What passes.

    def drive(self) -> None:
        """Take every step that is due now, as workers do."""
        with tenancy.enter(self.org_id):
            told = list(HostNews.objects.order_by("at", "id").values_list("id", flat=True))
            places = list(WorkspaceFiles.objects.values_list("id", flat=True))
        for one in told:
            news.follow(self.org_id, one)
        for one in places:
            files.settle(self.org_id, one)
        shells.reconcile(self.org_id, self.shell().id)
        runtimes.reconcile(self.org_id, self.runtime().id)
        removal.reconcile(self.org_id, self.workspace.id)

    def pass_(self, **units: float) -> None:
        self.clock.pass_(**units)
        self.drive()

    def bring_vms_up(self) -> None:
        """Every VM that is wanted runs, and its daemon is there."""
        for host in self.fleet.hosts():
            if host.wanted == "running" and host.joined_at is None:
                self.fleet.up(host)
        self.drive()

    def vm(self) -> Host:
        """The runtime's."""
        host = self.runtime().host
        assert host is not None
        return self.fleet.fresh(host)

    # What VMs answer.

    def finish(
        self, kind: str, *, outcome: Outcome | None = None, failure: Failure | None = None
    ) -> HostCommand:
        """The VM ends the only open command of a kind."""
        [command] = self.commands(kind)
        with tenancy.enter(self.org_id):
            locked = HostCommand.objects.select_for_update().get(id=command.id)
            queue.finish(locked, outcome=outcome, failure=failure)
        self.drive()
        return command

    def trees(self, **others: wire.Checkout) -> tuple[wire.Checkout, ...]:
        found = {
            name: wire.Checkout(
                directory=name,
                branch="feature/rooms",
                commit="a" * 40,
                contract=wire.ContractFile(text=text, digest=digest(parse(text.encode()))),
            )
            for name, text in self.texts.items()
        }
        return tuple((found | others).values())

    def prepare_shell(self, **others: wire.Checkout) -> None:
        self.finish(
            "prepare_shell",
            outcome=ShellPrepared(ssh_port=2222, host_key="ssh-ed25519 AAAA", checkouts=self.trees(**others)),
        )

    def read_contracts(self, **others: wire.Checkout) -> None:
        if self.commands("read_contract"):
            self.finish("read_contract", outcome=ContractRead(checkouts=self.trees(**others)))

    def manifest(self) -> StartRuntime:
        [command] = self.commands("start_runtime")
        payload = queue.payload_of(command)
        assert isinstance(payload, StartRuntime)
        return payload

    def start(self, *blockers: Blocker, ended: frozenset[str] = frozenset()) -> None:
        """The services come up, or are kept from it."""
        manifest = self.manifest().manifest
        services = tuple(
            ServiceReadiness(
                name=one.name,
                contract_digest=one.contract_digest,
                health=Health.STOPPED if one.name in ended else Health.HEALTHY,
                ready_ms=None if blockers else 1200,
                ingress={port.name: port.ingress for port in one.ports if port.ingress},
                consumed=one.references,
            )
            for one in manifest.services
        )
        readiness = Readiness(
            epoch=manifest.epoch,
            services=services,
            resources=tuple(
                ResourceReadiness(
                    name=one.name,
                    type=one.type,
                    version="1",
                    health=Health.HEALTHY,
                    ready_ms=900,
                    data=one.data,
                )
                for one in manifest.resources
            ),
            blockers=blockers,
            ready_ms=None if blockers else 1500,
        )
        self.finish("start_runtime", outcome=RuntimeStarted(readiness=readiness))

    def find_changed(self, *trees: wire.Checkout) -> None:
        """The VM that was asked to start the services finds these trees otherwise than it was told, and starts nothing."""
        readiness = Readiness(epoch=self.manifest().manifest.epoch, services=(), ready_ms=None)
        self.finish("start_runtime", outcome=RuntimeStarted(readiness=readiness, changed=trees))

    def stop(self) -> None:
        self.finish("stop_runtime", outcome=Done(kind="stop_runtime", ended=2))

    # Whole ways.

    def shell_up(self) -> None:
        self.drive()
        self.bring_vms_up()
        self.prepare_shell()

    def starting(self) -> None:
        """From anywhere asleep to a VM that was asked to start the services."""
        self.wake()
        self.drive()
        self.bring_vms_up()

    def awake(self) -> None:
        if self.shell().observed != "ready":
            self.shell_up()
        self.starting()
        self.start()
        assert self.runtime().observed == "awake", self.runtime().trouble


def refused(call: Any, *arguments: Any, **named: Any) -> EnvForgeError:
    """The refusal that this call ends with."""
    try:
        call(*arguments, **named)
    except EnvForgeError as error:
        return error
    raise AssertionError("it was not refused")
