"""The relay of one SSH connection to one workspace's VM (DESIGN 8, THREATS H7).

The client opens a WebSocket at `wss://BARE/.envforge/shell` with the subprotocol `SUBPROTOCOL` and a one-time ticket as bearer
token, which the API gave it together with a certificate; binary messages carry SSH's bytes both ways. The gateway spends the
ticket (`POST /gateway/v1/shells` with `ShellRequest` -> `ShellOpened`) and connects to the address it is told.
"""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import IPvAnyAddress, model_validator

from envforge_protocol.gateway.base import Revision
from envforge_protocol.gateway.decisions import Refused
from envforge_protocol.host.base import Credential, Message, Port, Revealing

SHELL_PATH = "/.envforge/shell"
SUBPROTOCOL = "envforge-ssh.v1"


class ShellRequest(Revealing):
    """A ticket to spend."""

    ticket: Credential


class Shell(Message):
    """Where one connection leads, and whose it is. `session_id`: the CLI or console session, so that its end is the shell's."""

    session_id: UUID
    person_id: UUID | None = None
    workspace_id: UUID
    organization_id: UUID
    address: IPvAnyAddress
    port: Port
    expires_at: datetime


class ShellOpened(Message):
    """A shell or a refusal, and the revision at which it was decided."""

    revision: Revision
    shell: Shell | None = None
    refused: Refused | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.shell is None) == (self.refused is None):
            raise ValueError("takes a shell or a refusal, and one alone")
        return self
