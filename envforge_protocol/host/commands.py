"""What a VM is asked to do.

`GET /host/v1/commands?wait_s=25` answers `Commands`, or 204 where there was nothing to do. Delivery is at least once; a
command's id makes doing it twice harmless. A lease is extended by `POST /host/v1/commands/ID/progress` (`Extended`), and
ended by `POST /host/v1/commands/ID/result` (204); the same result again is a success again. Whoever no longer holds the
lease is told 409 and stops reporting: the command was leased again, to the same VM, or is over.

Of one workspace's commands on a VM at most one per lane is leased at a time, in the order they were asked for: `work`
(files and services) and `access` (who may come in). `run_command` and `end_run` wait for nothing.
"""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from envforge_protocol.host.base import Label, Message, Port, Revealing
from envforge_protocol.host.resources import ContractName
from envforge_protocol.host.runtimes import Limits, Manifest, Readiness, Reference, ScopedCredential
from envforge_protocol.host.workspaces import Checkout, Repository, Workspace

MAX_WAIT_S = 25
MOST_AT_ONCE = 10
PROGRESS_EVERY_S = 10


class PrepareShell(Revealing):
    """Make the workspace's accounts, mount its files, check out what is not there yet, open its shell.

    What is there is left as it is: nobody's uncommitted work is touched.
    """

    kind: Literal["prepare_shell"] = "prepare_shell"
    workspace: Workspace
    repositories: tuple[Repository, ...]
    certificate_authority: str
    shell_limits: Limits


class ReadContract(Message):
    """Read `envforge.yml` from the working trees."""

    kind: Literal["read_contract"] = "read_contract"
    workspace: Workspace
    directories: tuple[Label, ...]


class StartRuntime(Revealing):
    """Bring the services of the manifest up; those of an earlier epoch are stopped first."""

    kind: Literal["start_runtime"] = "start_runtime"
    workspace: Workspace
    manifest: Manifest


class StopRuntime(Message):
    """Stop every service: SIGTERM, and SIGKILL after `grace_s`; then every resource, in its own time and cleanly."""

    kind: Literal["stop_runtime"] = "stop_runtime"
    workspace: Workspace
    epoch: int
    grace_s: float = 10.0


class RunCommand(Revealing):
    """Run a command through the runtime boundary with a service's environment (W9); its output is masked."""

    kind: Literal["run_command"] = "run_command"
    workspace: Workspace
    service: Label
    account: int = Field(ge=1, le=15)
    command: tuple[str, ...]
    directory: str = "."
    environment: dict[str, str] = {}
    references: tuple[Reference, ...] = ()
    resources: dict[ContractName, Label] = {}
    credentials: tuple[ScopedCredential, ...] = ()
    limits: Limits
    timeout_s: int = 3600
    output_limit_bytes: int = 1_048_576


class EndRun(Message):
    """End a `run_command`, if it runs still: SIGTERM, and SIGKILL a little later. It answers for itself."""

    kind: Literal["end_run"] = "end_run"
    workspace: Workspace
    command_id: UUID


class AuthorizeShell(Message):
    """Let certificates of this authority for this workspace in; earlier ones of other authorities no longer."""

    kind: Literal["authorize_shell"] = "authorize_shell"
    workspace: Workspace
    certificate_authority: str
    revoked_serials: tuple[int, ...] = ()


class EndShell(Message):
    """End shell sessions: of these certificates, of this person, or all of the workspace's."""

    kind: Literal["end_shell"] = "end_shell"
    workspace_id: UUID
    serials: tuple[int, ...] = ()
    person_id: UUID | None = None
    everybody: bool = False


class RemoveWorkspace(Message):
    """End all of a workspace on this VM and unmount its files; with `delete_files` they are deleted first.

    `delete_resources` are those whose data is deleted too, as their cleanup policy says; the others' stays where it is, for
    whoever the workspace moves to or keeps it for.
    """

    kind: Literal["remove_workspace"] = "remove_workspace"
    workspace: Workspace
    delete_files: bool = False
    delete_resources: tuple[Label, ...] = ()


class GrantRoot(Message):
    """Let the workspace's shell account act as root until `until`, which the VM keeps by itself (R3)."""

    kind: Literal["grant_root"] = "grant_root"
    workspace: Workspace
    request_id: UUID
    not_before: datetime
    until: datetime


class DropRoot(Message):
    """End root, its sessions too."""

    kind: Literal["drop_root"] = "drop_root"
    workspace: Workspace
    request_id: UUID


Payload = Annotated[
    PrepareShell
    | ReadContract
    | StartRuntime
    | StopRuntime
    | RunCommand
    | EndRun
    | AuthorizeShell
    | EndShell
    | RemoveWorkspace
    | GrantRoot
    | DropRoot,
    Field(discriminator="kind"),
]


class Leased(Revealing):
    """A command, and until when it is this VM's to do."""

    id: UUID
    lease: UUID
    lease_for_s: int
    attempt: int
    payload: Payload


class Commands(Revealing):
    """What a poll answers, at most `MOST_AT_ONCE`, in the order they were asked for."""

    commands: tuple[Leased, ...]


class Progress(Message):
    """The command is still being done; sent every `PROGRESS_EVERY_S`, and when its step (a word) changes."""

    lease: UUID
    step: Annotated[str, Field(pattern=r"^(?:[a-z][a-z0-9_]{0,60})?$")] = ""


class Extended(Message):
    """The lease holds for so long from now."""

    lease_for_s: int


class ShellPrepared(Message):
    """The result of `prepare_shell`: where SSH listens, with which host key."""

    kind: Literal["prepare_shell"] = "prepare_shell"
    ssh_port: Port
    host_key: str
    checkouts: tuple[Checkout, ...]


class ContractRead(Message):
    """The result of `read_contract`."""

    kind: Literal["read_contract"] = "read_contract"
    checkouts: tuple[Checkout, ...]


class RuntimeStarted(Message):
    """The result of `start_runtime`, ready or not.

    `changed`: working trees whose contract is another than the manifest's `trees` say, as `read_contract` would tell of them. Then nothing
    of the wake runs, and it is asked for anew by what they say now (W2).
    """

    kind: Literal["start_runtime"] = "start_runtime"
    readiness: Readiness
    changed: tuple[Checkout, ...] = ()


class CommandRan(Message):
    """The result of `run_command`: exit status as a shell gives it (128 + signal), None where it never started."""

    kind: Literal["run_command"] = "run_command"
    exit_status: int | None
    duration_ms: int
    output_bytes: int
    truncated: bool
    timed_out: bool = False
    consumed: tuple[Reference, ...] = ()


class Done(Message):
    """The result of every command that has nothing more to say."""

    kind: Literal[
        "stop_runtime",
        "end_run",
        "authorize_shell",
        "end_shell",
        "remove_workspace",
        "grant_root",
        "drop_root",
    ]
    ended: int = 0


Outcome = Annotated[
    ShellPrepared | ContractRead | RuntimeStarted | CommandRan | Done, Field(discriminator="kind")
]


class Failure(Message):
    """Why a command could not be done: a word for programs, a sentence for people. `again`: trying once more may help."""

    word: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,60}$")]
    sentence: Annotated[str, Field(max_length=500)]
    again: bool = False


class Result(Message):
    """How a command ended: with an outcome or a failure, never both, never neither."""

    lease: UUID
    outcome: Outcome | None = None
    failure: Failure | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.outcome is None) == (self.failure is None):
            raise ValueError("takes an outcome or a failure, and one alone")
        return self
