"""What the addresses of `reach.py` name, made for one visitor when an address first names it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone

from devlinks.labels import host_name
from devlinks.operations.links import Issued, issue_dev_link
from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.secret_value import SecretValue
from envforge_protocol.contract import BadContract, parse
from envforge_protocol.contract.digest import digest
from hosts.models import HostRole
from orgs import operations
from orgs.links import invitation_path
from orgs.models import ConsoleSession, Invitation, Person
from orgs.policy import Action
from orgs.roles import Role
from projects import operations as project_operations
from projects.operations import approve_contract
from secrets_ref.operations import set_secret
from tests.product.host_api.machines import new_host
from tests.product.visitors import signed_in
from tests.product.world import World
from workspaces.models import Certificate, CommandType, Shell, ShellSession, ShellState, Workspace
from workspaces.operations.certificates import issue_certificate
from workspaces.operations.commands import run_command
from workspaces.operations.workspaces import archive_workspace, open_workspace

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBAmIBuWIrsDUrAaAnXMWEcgv0+WnEyAYvuZ9pnzI2OB shell"
CONTRACT = """version: 1
service: {name: web}
command: run
ports: {web: 3000}
inputs: {LEVEL: literal}
resources: {database: postgres}
env: {LEVEL: "${inputs.LEVEL}", DB: "${resources.database.url}"}
"""


class Things(dict[str, str]):
    """What the addresses name, made for one visitor when an address first names it."""

    def __init__(self, world: World, visitor: Person | None) -> None:
        super().__init__()
        self.world = world
        self.visitor = visitor

    def __missing__(self, name: str) -> str:
        make: Callable[[], object] = getattr(self, f"_{name}")
        self[name] = str(make())
        return self[name]

    def _slug(self) -> str:
        return self.world.acme.slug

    def _org(self) -> object:
        return self.world.acme.id

    def _other(self) -> str:
        return self.world.mallet.slug

    def _other_org(self) -> object:
        return self.world.mallet.id

    def _nobody(self) -> object:
        return uuid4()

    def _new_slug(self) -> str:
        return f"new-{uuid4().hex[:12]}"

    def _new_email(self) -> str:
        return f"{uuid4().hex}@new.test"

    def _session(self) -> object:
        person = self.visitor or self.world.vera
        signed_in(person)
        return ConsoleSession.objects.filter(person=person).latest("created_at").id

    def _elses_session(self) -> object:
        somebody = self.world.person("Nora")
        signed_in(somebody)
        return ConsoleSession.objects.filter(person=somebody).latest("created_at").id

    def _target(self, *roles: Role) -> Person:
        person = self.world.person(f"Target{uuid4().hex[:8]}")
        for role in roles:
            operations.add_member(
                actor=self.world.alice.as_actor(), org_id=self.world.acme.id, person=person, role=role
            )
        return person

    def _member(self) -> object:
        return self._target(Role.DEVELOPER, Role.VIEWER).id

    def _an_owner(self) -> object:
        return self._target(Role.OWNER).id

    def _receipt(self) -> object:
        alice, target = self.world.alice, self._target(Role.VIEWER)
        done = operations.remove_member(
            actor=alice.as_actor(), org_id=self.world.acme.id, person_id=target.id
        )
        return done.event_id

    def _invited(self, person: Person) -> UUID:
        # Not by the operation, which invites no member: that somebody is one may also come later.
        with tenancy.enter(self.world.acme.id):
            sent = Invitation.objects.create(
                email=person.email,
                role=Role.VIEWER,
                invited_by=self.world.alice,
                expires_at=timezone.now() + timedelta(days=1),
            )
        return sent.id

    def _another(self) -> Person:
        return self.world.person(f"Another{uuid4().hex[:8]}")

    def _invitation(self) -> object:
        return self._invited(self._another())

    def _invitation_to_me(self) -> str:
        return invitation_path(self._invited(self.visitor or self._another()))

    def _invitation_to_another(self) -> str:
        return invitation_path(self._invited(self._another()))

    def _account(self) -> object:
        alice = self.world.alice
        made = operations.create_service_account(
            actor=alice.as_actor(),
            org_id=self.world.acme.id,
            creator=alice,
            name=f"bot {uuid4()}",
            role=Role.DEVELOPER,
        )
        return made.id

    def _tag(self) -> str:
        return uuid4().hex[:8].upper()

    def _secret(self) -> object:
        made = set_secret(
            actor=self.world.alice.as_actor(),
            org_id=self.world.acme.id,
            name=f"S_{uuid4().hex[:8].upper()}",
            value=SecretValue("v"),
        )
        return made.id

    def _workspace(self) -> object:
        return self._opened().id

    def _archived(self) -> object:
        made = self._opened()
        archive_workspace(actor=self.world.alice.as_actor(), org_id=self.world.acme.id, workspace_id=made.id)
        return made.id

    def _ready(self) -> object:
        """A workspace whose contract is approved, and whose shell is there."""
        alice, org_id = self.world.alice.as_actor(), self.world.acme.id
        made = self._opened()
        approve_contract(actor=alice, org_id=org_id, proposal_id=UUID(self["proposal"]))
        host = new_host(self.world.acme, HostRole.SHELL)
        with tenancy.enter(org_id):
            Shell.objects.filter(workspace=made).update(
                observed=ShellState.READY, host=host, generation=1, host_key=HOST_KEY, due_at=None
            )
        return made.id

    def _run(self) -> object:
        """A command that waits in it."""
        return run_command(
            actor=self.world.alice.as_actor(),
            org_id=self.world.acme.id,
            workspace_id=UUID(self["ready"]),
            service="web",
            type=CommandType.AGENT,
            argv=("true",),
        ).id

    def _public_key(self) -> str:
        key = Ed25519PrivateKey.generate().public_key()
        return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def _shell_session(self) -> object:
        """Alice's connection to it."""
        workspace_id = UUID(self["ready"])
        issued = issue_certificate(
            actor=self.world.alice.as_actor(),
            org_id=self.world.acme.id,
            workspace_id=workspace_id,
            public_key=self["public_key"],
        )
        with tenancy.enter(self.world.acme.id):
            return ShellSession.objects.create(
                workspace_id=workspace_id,
                certificate=Certificate.objects.get(serial=issued.serial),
                session_id=uuid4(),
                host_id=Shell.objects.values_list("host_id", flat=True).get(workspace_id=workspace_id),
                connected_at=timezone.now(),
            ).id

    def _opened(self) -> Workspace:
        return open_workspace(
            actor=self.world.alice.as_actor(),
            org_id=self.world.acme.id,
            project_id=UUID(self["project_id"]),
            branch=f"feature/{uuid4().hex[:12]}",
        )

    def _linkable(self) -> object:
        """A workspace with a service that takes links."""
        assert self["project"]
        project_operations.approve_contract(
            actor=self.world.alice.as_actor(),
            org_id=self.world.acme.id,
            proposal_id=UUID(self["proposal"]),
        )
        return self._opened().id

    def _issued(self) -> Issued:
        return issue_dev_link(
            actor=self.world.alice.as_actor(),
            org_id=self.world.acme.id,
            workspace_id=UUID(self["linkable"]),
            service="web",
            lifetime=timedelta(hours=2),
        )

    def _link(self) -> object:
        return self._issued().link.id

    def _dev_host(self) -> str:
        return host_name(self._issued().link.host.label)

    def _in_a_day(self) -> str:
        return (timezone.now() + timedelta(days=1)).isoformat()

    def _project(self) -> str:
        actor, slug = self.world.alice.as_actor(), f"p-{uuid4().hex[:12]}"
        made = project_operations.create_project(
            actor=actor, org_id=self.world.acme.id, slug=slug, name="Scheduler"
        )
        repository = project_operations.add_repository(
            actor=actor,
            org_id=self.world.acme.id,
            project_id=made.id,
            name="web",
            url="https://git.test/web.git",
        )
        seen = propose(self.world, repository.id, CONTRACT)
        self["repository"], self["proposal"] = repository.name, str(seen)
        self["project_id"] = str(made.id)
        return slug

    def _project_id(self) -> str:
        # Making the project tells its id.
        assert self["project"]
        return self["project_id"]

    def _token(self) -> object:
        return issue(self.world, self["account"])[0]


def propose(world: World, repository_id: UUID, text: str, *, branch: str = "main") -> UUID | None:
    """What a VM that reads this `envforge.yml` proposes; None where it is no contract."""
    try:
        made = digest(parse(text.encode()))
    except BadContract:
        made = ""
    seen = project_operations.propose_contract(
        actor=SYSTEM,
        org_id=world.acme.id,
        repository_id=repository_id,
        branch=branch,
        commit="c" * 40,
        text=text,
        digest=made,
    )
    return seen.proposal_id


def issue(world: World, account_id: Any, *scopes: Action) -> tuple[object, str]:
    """A token of the account, by the owner: its id and its value."""
    token, value = operations.issue_token(
        actor=world.alice.as_actor(),
        org_id=world.acme.id,
        issuer=world.alice,
        account_id=account_id,
        name=f"t {uuid4()}",
        scopes=frozenset(scopes or (Action.USAGE_VIEW,)),
        lifetime=timedelta(days=1),
    )
    return token.id, value.reveal_text()
