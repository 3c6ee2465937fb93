"""A workspace of Acme whose services links may lead to, awake without a VM, and gateways that ask about it."""

import json
import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
from django.conf import settings
from django.utils import timezone

from audit.models import Event
from devlinks import gateways
from devlinks.models import DevLink, DevSession
from devlinks.operations import links
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge_protocol.contract import parse
from envforge_protocol.contract.digest import digest as contract_digest
from envforge_protocol.gateway.base import digest
from envforge_protocol.gateway.identity import RegisterRequest
from envforge_protocol.host.base import PROTOCOL_HEADER
from orgs.models import Person
from projects import operations as projects
from projects.choices import Source
from projects.models import Proposal
from tests.product.host_api.machines import new_host
from tests.product.world import World
from workspaces import routes
from workspaces.models import Observed, RunningService, Runtime, Wake, WakeCause, Workspace
from workspaces.operations.workspaces import open_workspace
from workspaces.wants import want_asleep, want_awake

WEB = """version: 1
service: {name: web, description: The pages}
command: run
ports: {web: 3000}
inputs: {BACKEND: route}
routes: {assets: [/static], forward: {/api: BACKEND}}
"""
BACKEND = "version: 1\nservice: {name: backend}\ncommand: run\nports: {web: 3000}\n"
CONSOLE = "version: 1\nservice: {name: tool, kind: console}\ncommand: run\nports: {web: 3000}\n"
WORKER = "version: 1\nservice: {name: jobs, kind: worker}\ncommand: run\n"
ADDRESS = "10.20.1.7"


class Yard:
    """The project, its repositories with approved contracts, and a workspace of its branch `main`."""

    def __init__(self, world: World, organization: Any = None, owner: Person | None = None) -> None:
        self.world = world
        self.organization = organization or world.acme
        self.org = self.organization.id
        self.owner = owner or world.alice
        self.alice = self.owner.as_actor()
        self.project = projects.create_project(
            actor=self.alice, org_id=self.org, slug="scheduler", name="Scheduler"
        )
        self.repositories: dict[str, UUID] = {}
        for name, text in (("web", WEB), ("backend", BACKEND), ("tool", CONSOLE), ("jobs", WORKER)):
            self._add(name, text)
        projects.bind_input(
            actor=self.alice,
            org_id=self.org,
            repository_id=self.repositories["web"],
            name="BACKEND",
            source=Source.ROUTE,
            route_to_id=self.repositories["backend"],
        )
        self.workspace = self.branch("main")

    def _add(self, name: str, text: str) -> None:
        made = projects.add_repository(
            actor=self.alice,
            org_id=self.org,
            project_id=self.project.id,
            name=name,
            url=f"https://git.test/acme/{name}.git",
        )
        self.repositories[name] = made.id
        seen = projects.propose_contract(
            actor=SYSTEM,
            org_id=self.org,
            repository_id=made.id,
            text=text,
            branch="main",
            commit="c" * 40,
            digest=contract_digest(parse(text.encode())),
        )
        assert seen.proposal_id
        projects.approve_contract(actor=self.alice, org_id=self.org, proposal_id=seen.proposal_id)

    def branch(self, name: str) -> Workspace:
        return open_workspace(actor=self.alice, org_id=self.org, project_id=self.project.id, branch=name)

    def issue(self, **wishes: Any) -> links.Issued:
        given: dict[str, Any] = {
            "actor": self.alice,
            "org_id": self.org,
            "workspace_id": self.workspace.id,
            "service": "web",
            "lifetime": timedelta(hours=2),
            **wishes,
        }
        return links.issue_dev_link(**given)

    def link(self, link: DevLink) -> DevLink:
        with tenancy.enter(self.org):
            return DevLink.objects.select_related("workspace", "host").get(id=link.id)

    def session(self, session_id: UUID) -> DevSession:
        with tenancy.enter(self.org):
            return DevSession.objects.get(id=session_id)

    def events(self, kind: str) -> list[Event]:
        with tenancy.enter(self.org):
            return list(Event.objects.filter(kind=kind).order_by("at", "id"))

    def awake(self, workspace: Workspace | None = None) -> int:
        """Its services run and are led to, in one transaction, as readiness does it; answers the epoch."""
        workspace = workspace or self.workspace
        host = new_host(self.organization)
        with tenancy.enter(self.org):
            host.address = ADDRESS
            host.save(update_fields=["address"])
            runtime = self.runtime(workspace)
            want_awake(runtime, actor=self.alice, cause=WakeCause.CONSOLE)
            proposals = {row.service: row for row in Proposal.objects.all()}
            RunningService.objects.filter(runtime=runtime).delete()
            for port, name in enumerate(("web", "backend", "tool"), 20001):
                RunningService.objects.create(
                    runtime=runtime,
                    epoch=runtime.epoch,
                    name=name,
                    repository_id=self.repositories[name],
                    proposal_id=proposals[name].id,
                    contract_digest=proposals[name].digest,
                    kind="console" if name == "tool" else "app",
                    account=1,
                    host=host,
                    generation=host.generation,
                    ingress=port,
                    health="healthy",
                    since=timezone.now(),
                )
            Wake.objects.filter(runtime=runtime, epoch=runtime.epoch).update(
                ready_ms=12_000, ready_at=timezone.now()
            )
            runtime.observed, runtime.observed_at, runtime.host = Observed.AWAKE, timezone.now(), host
            routes.publish(runtime)
            runtime.save()
            return runtime.epoch

    def asleep(self) -> None:
        """Nobody is led there any more; the services are not stopped yet."""
        with tenancy.enter(self.org):
            want_asleep(self.runtime(self.workspace), actor=self.alice, cause="asked")  # type: ignore[arg-type]

    def runtime(self, workspace: Workspace | None = None) -> Runtime:
        Workspace.objects.select_for_update().get(id=(workspace or self.workspace).id)
        runtime = Runtime.objects.select_for_update().get(workspace=workspace or self.workspace)
        runtime.workspace = Workspace.objects.get(id=runtime.workspace_id)
        return runtime


class Gateway:
    """A gateway process as the control plane meets it: over HTTP, with an identity of its own."""

    def __init__(self, address: str, name: str = "gateway-1") -> None:
        self.address = address
        self.name = name
        self.token = ""
        self.id = UUID(int=0)
        self.registered: dict[str, Any] = {}

    def register(self, credential: str | None = None) -> "Gateway":
        request = RegisterRequest(instance=uuid4(), name=self.name, version="0.1.0")
        answer = self.raw(
            "POST",
            "register",
            json.loads(request.model_dump_json()),
            token=settings.GATEWAY_CREDENTIALS[0] if credential is None else credential,
        )
        assert answer.status_code == 200, answer.text
        self.registered = answer.json()
        self.token, self.id = self.registered["token"], UUID(self.registered["gateway_id"])
        return self

    def raw(self, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any) -> Any:
        headers = {
            "host": settings.GATEWAY_API_HOST,
            PROTOCOL_HEADER: "1",
            "authorization": f"Bearer {self.token if token is None else token}",
            **more.pop("headers", {}),
        }
        if body is not None:
            more["json"] = body
        return httpx2.request(
            method, f"{self.address}/gateway/v1/{path}", headers=headers, timeout=20, **more
        )

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.raw("POST", path, body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def open(self, token: str, state: str = "state") -> dict[str, Any]:
        return self.ask("open", token=token, state=digest(state))

    def redeem(
        self, opened: dict[str, Any], state: str = "state", value: str | None = None
    ) -> dict[str, Any]:
        self.value = value or secrets.token_urlsafe(32)
        return self.ask(
            "redeem",
            code=opened["code"],
            host=opened["host"],
            state=digest(state),
            session=digest(self.value),
        )

    def enter(self, issued: Any) -> "Visit":
        """All the way from a share address to a session."""
        opened = self.open(token_of(issued))
        assert opened.get("code"), opened
        redeemed = self.redeem(opened)
        assert redeemed.get("session_id"), redeemed
        return Visit(self, self.value, opened["host"], UUID(redeemed["session_id"]))


class Visit:
    """A session at a host, as a gateway knows it."""

    def __init__(self, gateway: Gateway, value: str, host: str, session_id: UUID) -> None:
        self.gateway, self.value, self.host, self.session_id = gateway, value, host, session_id

    def resolve(self, host: str | None = None) -> dict[str, Any]:
        return self.gateway.ask("resolve", session=digest(self.value), host=host or self.host)

    def word(self, host: str | None = None) -> str:
        refused = self.resolve(host).get("refused")
        return refused["word"] if refused else ""

    def wake(self, cause: str = "navigation") -> dict[str, Any]:
        return self.gateway.ask("wake", session=digest(self.value), host=self.host, cause=cause)


def token_of(issued: links.Issued) -> str:
    """What stands in a share address."""
    address = issued.address.reveal_text()
    assert address.startswith(f"{settings.DEV_URL}/share/")
    return address.rpartition("/")[2]


def leased(gateway: Gateway) -> None:
    """As if a stream of its were open."""
    gateways.extend_leases([gateway.id])
