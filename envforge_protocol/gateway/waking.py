"""A verified request asks for a wake (L6, W6).

`POST /gateway/v1/wake` with `WakeRequest` -> `WakeAnswer`. A process asks once per workspace at a time, the control plane
coalesces over all of them; asking again while it wakes costs no budget (THREATS G5).
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from envforge_protocol.gateway.base import Digest, HostName, Revision, Word
from envforge_protocol.host.base import Message


class WakeRequest(Message):
    """Which session's request, of which kind."""

    session: Digest
    host: HostName
    cause: Literal["navigation", "request", "websocket"]


class Step(Message):
    """One step of a wake, in plain words for the progress page."""

    words: Annotated[str, Field(max_length=120)]
    state: Literal["done", "now", "later", "failed"]


class WakeAnswer(Message):
    """Where the wake stands.

    `awake`: resolve again. `waking`: a purge of the workspace's routes will tell. `refused`: it will not wake for this session,
    `word` says why (`wake_budget`, `cap`, `tailscale_only`, `paused`, `not_allowed`, `expired`, ...). `failed`: it could not
    come up, and a new request will not change that until somebody of the workspace looks at it.
    """

    revision: Revision
    workspace_id: UUID | None = None
    state: Literal["awake", "waking", "refused", "failed"]
    word: Word | None = None
    estimate_s: int | None = Field(default=None, ge=0)
    retry_after_s: int = Field(default=3, ge=1, le=3600)
    steps: tuple[Step, ...] = Field(default=(), max_length=12)
