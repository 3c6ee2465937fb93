r"""What the control plane tells without being asked (THREATS G1).

`GET /gateway/v1/events?after=REVISION` answers `application/x-ndjson` without end: one `Event` a line. The first is `Hello`.
Revisions grow by commit; a line of purge names the revision before it (`after`), a heartbeat the one just read from PostgreSQL
and the database's time just before that. So that a process can tell by itself whether it has missed something: then it
empties its cache before it serves again. `POST /gateway/v1/acknowledgements` with `Acknowledgement` (204) follows each purge.
"""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, TypeAdapter, model_validator

from envforge_protocol.gateway.base import Revision, Word
from envforge_protocol.gateway.identity import LinkKey
from envforge_protocol.host.base import Message

LONGEST_LINE = 64 * 1024
MOST_ACKNOWLEDGED = 1000


class Hello(Message):
    """The stream follows after `starts_after`. Another than was asked for means that what lies between is forgotten."""

    kind: Literal["hello"] = "hello"
    starts_after: Revision


class Key(Message):
    """What a purge is about. `route`: a workspace's routes up to and with `epoch`; `everything` has no id."""

    kind: Literal["link", "session", "workspace", "organization", "person", "route", "everything"]
    id: UUID | None = None
    epoch: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.id is None) != (self.kind == "everything"):
            raise ValueError("takes an id, unless it is everything")
        if (self.epoch is None) != (self.kind != "route"):
            raise ValueError("a route takes an epoch, and nothing else does")
        return self


class Purge(Message):
    """Forget decisions made under this key before `revision`; with `cut`, end what is open under it as well.

    Without `cut` (a workspace fell awake, a note changed) requests that wait are looked at again.
    """

    kind: Literal["purge"] = "purge"
    revision: Revision
    after: Revision
    key: Key
    reason: Word
    cut: bool = True


class Heartbeat(Message):
    """Nothing else has happened up to `revision`; `at` is PostgreSQL's clock, read before the revision was."""

    kind: Literal["heartbeat"] = "heartbeat"
    revision: Revision
    at: datetime


class Keys(Message):
    """The keys that are good from now on; a link signed by another is refused."""

    kind: Literal["keys"] = "keys"
    keys: tuple[LinkKey, ...] = Field(max_length=32)


class Drain(Message):
    """Take no new connections, and end within `within_s`."""

    kind: Literal["drain"] = "drain"
    within_s: int = Field(ge=0)


Event = Annotated[Hello | Purge | Heartbeat | Keys | Drain, Field(discriminator="kind")]
EVENT: TypeAdapter[Hello | Purge | Heartbeat | Keys | Drain] = TypeAdapter(Event)


class Applied(Message):
    """One purge, as this process did it; `cut` counts the connections it ended, sockets and streams and downloads."""

    revision: Revision
    cut: int = Field(ge=0)
    at: datetime


class Acknowledgement(Message):
    """Everything up to `revision` is applied. After a gap, `emptied`: all was forgotten and `cut_all` connections were ended."""

    gateway_id: UUID
    revision: Revision
    applied: tuple[Applied, ...] = Field(default=(), max_length=MOST_ACKNOWLEDGED)
    emptied: bool = False
    cut_all: int = Field(default=0, ge=0)
