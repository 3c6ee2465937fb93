"""Workspaces as a VM sees them: accounts, files, repository."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from envforge_protocol.host.base import Credential, Label, Message, Revealing
from envforge_protocol.host.runtimes import Reference, ScopedCredential

# Accounts of one workspace: the first is its shell's and owns its files, the others are its services' (THREATS H3).
ACCOUNTS_PER_WORKSPACE = 16


class Storage(Message):
    """Where a workspace's files are: on the organization's file system, by the workspace's id, or in a directory of this machine."""

    kind: Literal["file_system", "directory"]
    file_system: str = ""
    directory: str = ""


class Volume(Message):
    """A disk of the workspace's own for managed data, attached to this VM by its id."""

    id: Annotated[str, Field(pattern=r"^vol-[0-9a-f]{8,40}$")]


class Workspace(Message):
    """A workspace: `uid` is the first of its `ACCOUNTS_PER_WORKSPACE` accounts, and its group; `user` the login's name.

    Without `data` none of its resources can be run here.
    """

    id: UUID
    slug: Label
    user: Label
    uid: int = Field(ge=100_000)
    storage: Storage
    data: Volume | None = None


class RepositoryCredential(Revealing):
    """Reads one repository, for minutes (THREATS H2)."""

    username: str
    password: Credential
    expires_at: datetime


class Repository(Revealing):
    """What is checked out into `directory` of the workspace's files; without a credential, what anybody may read.

    A repository that has no such branch is checked out at `fallback_branch`. `access` is the parameter that holds the
    credential's password, where the customer gave one; the VM reads it by `reader` when it fetches, and keeps it nowhere.
    `unreadable` says in words why no credential could be had; nothing is fetched then.
    """

    directory: Label
    url: str
    branch: str
    fallback_branch: str
    credential: RepositoryCredential | None = None
    access: Reference | None = None
    reader: ScopedCredential | None = None
    unreadable: str = ""


class ContractFile(Message):
    """`envforge.yml` as it lies in the working tree (at most 64 KiB)."""

    text: str
    digest: str


class Checkout(Message):
    """One repository as it lies in the workspace's files; `problem` says in words why it could not be checked out.

    `dirty`: something is not committed. `contract` is None where there is no `envforge.yml`. `branch_is_there`: whether the
    repository has the workspace's branch now; None where it was not asked, or did not answer.
    """

    directory: Label
    branch: str = ""
    commit: str = ""
    dirty: bool = False
    contract: ContractFile | None = None
    problem: str = ""
    branch_is_there: bool | None = None
