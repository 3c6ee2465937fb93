"""What sessions did, in counts (DESIGN 7.5, W7).

`POST /gateway/v1/activity` with `ActivityBatch` every `ACTIVITY_EVERY_S` where there was any -> 204; of sessions that did nothing
but background, every `BACKGROUND_EVERY_S`. Counted once by `id`, for a day; a batch that was not answered is sent again.
"""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from envforge_protocol.gateway.base import ServiceName, Word
from envforge_protocol.host.base import Message

ACTIVITY_EVERY_S = 5
BACKGROUND_EVERY_S = 30
MOST_ENTRIES = 1000


class SessionActivity(Message):
    """One session at one service since the batch that last told of it.

    Activity: `navigations` (documents a person asked for), `unsafe` (requests that are not GET, HEAD or OPTIONS), `frames`
    (WebSocket data frames sent by the client). Background, which extends by minutes only: `background` (other GETs), `pings`
    (WebSocket control frames of the client); `background_at` is the end of the time in which there was any.
    """

    session_id: UUID
    link_id: UUID | None = None
    person_id: UUID | None = None
    workspace_id: UUID
    organization_id: UUID
    service: ServiceName
    navigations: int = Field(default=0, ge=0)
    unsafe: int = Field(default=0, ge=0)
    frames: int = Field(default=0, ge=0)
    background: int = Field(default=0, ge=0)
    pings: int = Field(default=0, ge=0)
    open_websockets: int = Field(default=0, ge=0)
    active_at: datetime | None = None
    background_at: datetime | None = None


class Denial(Message):
    """Requests of a session that the gateway itself refused: beyond its surfaces, from another host (L9)."""

    session_id: UUID
    link_id: UUID | None = None
    workspace_id: UUID
    organization_id: UUID
    word: Word
    count: int = Field(ge=1)
    last_at: datetime


class ActivityBatch(Message):
    """All sessions of one process that did something."""

    id: UUID
    since: datetime
    until: datetime
    sessions: tuple[SessionActivity, ...] = Field(default=(), max_length=MOST_ENTRIES)
    denials: tuple[Denial, ...] = Field(default=(), max_length=MOST_ENTRIES)
