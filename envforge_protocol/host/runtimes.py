"""What `start_runtime` carries (the manifest), and what comes back (DESIGN 7)."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, model_validator

from envforge_protocol.host.base import Credential, Label, Message, Port, Revealing
from envforge_protocol.host.limits import Health, Limits
from envforge_protocol.host.resources import ContractName, Resource, ResourceReadiness

__all__ = ["Health", "Limits"]

# Of a need that is declared in a shell, for people to read.
LONGEST_REASON = 80


class Reference(Message):
    """An input whose value lies in a parameter: its name in the contract, the parameter's ARN and version."""

    input: str
    arn: str
    version: int = Field(ge=1)


class ScopedCredential(Revealing):
    """Reads exactly these parameters, for minutes; minted when the command is leased, stored nowhere (THREATS K2)."""

    arns: tuple[str, ...]
    access_key_id: str
    secret_access_key: Credential
    session_token: Credential
    expires_at: datetime


class Check(Message):
    """How to ask whether something works: an HTTP path, a TCP port, or a command that must exit with 0."""

    kind: Literal["http", "tcp", "command"]
    port: Port | None = None
    path: str = "/"
    expect_status: tuple[int, ...] = (200, 399)
    command: tuple[str, ...] = ()
    every_s: float = 5.0
    timeout_s: float = 3.0
    start_period_s: float = 60.0
    unhealthy_after: int = 3


class Step(Message):
    """One setup step; run again only when its text or one of the files it names changed."""

    name: str
    command: tuple[str, ...]
    cache_files: tuple[str, ...] = ()
    timeout_s: int = 600


class ServicePort(Message):
    """A port the service binds inside its namespace; `ingress` is the VM's port the gateways reach it by, if any."""

    name: Label
    port: Port
    protocol: Literal["http", "tcp"] = "http"
    ingress: Port | None = None


class Service(Message):
    """One service of a workspace.

    `account` counts from 1 within the workspace's accounts; `directory` lies below the workspace's files, its first part being
    the repository's. `environment` holds plain values and, as `${input}`, the names
    of `references`; values of references never travel. `resources` says which resource of the manifest stands behind each
    `${resources.NAME.PROPERTY}`; the service sees no other one's values.
    """

    name: Label
    contract_digest: str
    account: int = Field(ge=1, le=15)
    command: tuple[str, ...]
    directory: str
    ports: tuple[ServicePort, ...] = ()
    environment: dict[str, str] = {}
    references: tuple[Reference, ...] = ()
    resources: dict[ContractName, Label] = {}
    setup: tuple[Step, ...] = ()
    health: Check | None = None
    smoke: Check | None = None
    # A job: it runs once in a wake, to its end, and nobody waits for that.
    once: bool = False
    limits: Limits


class Tree(Message):
    """A working tree as the manifest takes it to be: the digest of the contract in it, empty where none could be read."""

    directory: Label
    contract_digest: str


class Manifest(Revealing):
    """Everything a wake needs; `epoch` counts the runtime's wakes and names its routes.

    `trees` are looked at before anything of the wake is started (`commands.RuntimeStarted.changed`).
    """

    epoch: int
    trees: tuple[Tree, ...] = ()
    services: tuple[Service, ...]
    resources: tuple[Resource, ...] = ()
    credentials: tuple[ScopedCredential, ...] = ()

    @model_validator(mode="after")
    def _resources_stand_apart(self) -> Self:
        names = [resource.name for resource in self.resources]
        accounts = [service.account for service in self.services]
        accounts += [resource.account for resource in self.resources]
        if len(set(names)) < len(names):
            raise ValueError("two resources have one name")
        if self.resources and len(set(accounts)) < len(accounts):
            raise ValueError("a resource shares its account")
        if any(name not in names for service in self.services for name in service.resources.values()):
            raise ValueError("a service uses a resource that is not in the manifest")
        return self


class Blocker(Message):
    """Why a service is not up, in words a person can act on; no output and no value in it.

    `at` is `resource` where something the service uses did not come up; for one that no service uses, `service` is its name.
    """

    service: Label
    at: Literal["secrets", "resource", "setup", "start", "port", "health", "smoke", "host"]
    reason: str
    exit_status: int | None = None


class StepRan(Message):
    """A setup step that was run at this wake; those that nothing had changed for are not among them."""

    name: str
    exit_status: int | None
    duration_ms: int
    timed_out: bool = False


class ServiceReadiness(Message):
    """How one service came up."""

    name: Label
    contract_digest: str
    health: Health
    ready_ms: int | None
    ingress: dict[str, Port] = {}
    consumed: tuple[Reference, ...] = ()
    setup: tuple[StepRan, ...] = ()


class Readiness(Message):
    """What a wake led to (W10)."""

    epoch: int
    services: tuple[ServiceReadiness, ...]
    resources: tuple[ResourceReadiness, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    ready_ms: int | None


class Declared(Message):
    """What was last declared in a shell: that the runtime is needed until then, and why. In the past it is over, or was taken back."""

    until: AwareDatetime
    reason: Annotated[str, Field(max_length=LONGEST_REASON)] = ""


class Activity(Message):
    """What keeps a workspace busy: running commands, connected shells, and what was declared in one, if the VM knows that."""

    workspace_id: UUID
    running_commands: int = 0
    shells: int = 0
    declared: Declared | None = None
