"""What a session may reach: asked once, kept by the gateway until a purge or the session's end.

`POST /gateway/v1/resolve` with `ResolveRequest` -> `Resolved`. The revision is read before anything else of the answer, so
that a change which commits meanwhile has a later one: a decision older than its key's last purge is discarded (THREATS G1).
"""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, IPvAnyAddress, model_validator

from envforge_protocol.gateway.base import Digest, HostName, Revision, ServiceName, Surface, Word
from envforge_protocol.host.base import Message, Port

# A path prefix as contracts write it: `/`, or segments without a final slash; matches whole segments.
Prefix = Annotated[
    str, Field(pattern=r"^/(?:[A-Za-z0-9._~@!$&'()*+,=:-]+(?:/[A-Za-z0-9._~@!$&'()*+,=:-]+)*)?$")
]


class ResolveRequest(Message):
    """Whose request is it, for which host."""

    session: Digest
    host: HostName


class Forward(Message):
    """A path prefix that another service of the same workspace answers, as the linked service's approved contract says."""

    prefix: Prefix
    service: ServiceName


class Routes(Message):
    """Which paths belong to which surface; the longest prefix decides, the rest is `web` (THREATS G3)."""

    api: tuple[Prefix, ...] = ("/api",)
    assets: tuple[Prefix, ...] = ()
    websockets: tuple[Prefix, ...] = ("/",)
    forward: tuple[Forward, ...] = ()


class Ingress(Message):
    """Where a service is reached: a literal address of a VM, never a name (THREATS G2)."""

    service: ServiceName
    address: IPvAnyAddress
    port: Port


class Awake(Message):
    """The runtime is awake; `epoch` names this wake's routes. Services that cannot be reached now are not listed."""

    state: Literal["awake"] = "awake"
    epoch: int = Field(ge=0)
    ingress: tuple[Ingress, ...]


class Asleep(Message):
    """The runtime is not awake. `estimate_s`: how long it will probably take, where that is known."""

    state: Literal["asleep", "waking"] = "asleep"
    estimate_s: int | None = Field(default=None, ge=0)


class Decision(Message):
    """What one session may reach. `link_id` is None for a member's session, `person_id` for a reviewer's.

    `workspace`: its name as people know it, for the pages the gateway itself makes.
    """

    session_id: UUID
    link_id: UUID | None = None
    person_id: UUID | None = None
    workspace_id: UUID
    organization_id: UUID
    workspace: Annotated[str, Field(max_length=200)]
    service: ServiceName
    surfaces: frozenset[Surface]
    routes: Routes
    runtime: Annotated[Awake | Asleep, Field(discriminator="state")]
    expires_at: datetime

    @model_validator(mode="after")
    def _somebodys(self) -> Self:
        if self.link_id is None and self.person_id is None:
            raise ValueError("a session belongs to a link or to a person")
        return self


class Refused(Message):
    """Why not. The words that have a page of their own are in `REFUSALS`; any other has a general one."""

    word: Word


REFUSALS = (
    *(
        "no_session",
        "expired",
        "revoked",
        "rotated",
        "signed_out",
        "not_allowed",
        "suspended",
        "tailscale_only",
    ),
    *("gone", "code", "state", "cap", "wake_budget", "paused", "unavailable"),
)


class Resolved(Message):
    """A decision or a refusal, and the revision of the events at which it was made."""

    revision: Revision
    decision: Decision | None = None
    refused: Refused | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.decision is None) == (self.refused is None):
            raise ValueError("takes a decision or a refusal, and one alone")
        return self
