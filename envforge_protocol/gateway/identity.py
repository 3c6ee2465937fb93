"""How a gateway process gets an identity of its own, and keeps it (THREATS G1, G5).

`POST /gateway/v1/register` with the deployment's credential as bearer token -> `Registered`: an identity for minutes.
`POST /gateway/v1/renew` with the process's own token -> `Renewed`, any time before the token ends; a process that let it end
registers again, as another gateway, with nothing cached. `POST /gateway/v1/leave` (204) says that the process holds no
connection any more: nobody waits for its acknowledgements then.

`now` is PostgreSQL's clock, read while the request was answered: it is later than the sending of the request, which lets the
process say at most how old a heartbeat is, whatever its own wall clock shows.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from envforge_protocol.gateway.base import Revision
from envforge_protocol.host.base import Credential, Message, Revealing

VERSION = r"^[0-9A-Za-z][0-9A-Za-z._+-]{0,63}$"


class RegisterRequest(Message):
    """A process introduces itself; `instance` is drawn by the process when it starts, `name` is for people."""

    instance: UUID
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    version: Annotated[str, Field(pattern=VERSION)]


class LinkKey(Message):
    """The public half of a key that signs links: Ed25519, its 32 bytes as base64url without padding."""

    kid: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    x: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{43}$")]


class Grace(Message):
    """How long a process goes on without a fresh heartbeat: until it refuses requests, and until it cuts what is open.

    The control plane counts `cut_after_ms` and a heartbeat from the last sign of life of a gateway: then its lease has lapsed.
    """

    heartbeat_every_ms: int = Field(default=250, ge=50, le=5000)
    refuse_after_ms: int = Field(default=1000, ge=200, le=60_000)
    cut_after_ms: int = Field(default=5000, ge=200, le=300_000)


class Registered(Revealing):
    """Who the process is. `keys` are all that are good now; `revision` is where its event stream begins.

    `sign_in_url`: where a member's browser is sent, with `host`, `state` and `next` in the query; None where there is no
    member access.
    """

    gateway_id: UUID
    token: Credential
    expires_at: datetime
    renew_after_s: int = Field(ge=1)
    now: datetime
    revision: Revision
    keys: tuple[LinkKey, ...] = Field(max_length=32)
    grace: Grace = Grace()
    sign_in_url: Annotated[str, Field(pattern=r"^https?://[^\s?#@]+$")] | None = None


class Renewed(Revealing):
    """The same identity, longer; the earlier token works until it ends."""

    token: Credential
    expires_at: datetime
    renew_after_s: int = Field(ge=1)
    now: datetime
