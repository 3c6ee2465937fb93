"""How a share link, or a member's sign-in, becomes a session at one workspace host (DESIGN 8, THREATS G4).

    browser                         gateway                                    control plane
    GET  BARE/share/TOKEN           page; nothing is asked or used
    POST BARE/share    token        signature, expiry -> cookie, 303 HOST/.envforge/open
    GET  HOST/.envforge/open        state cookie, 303 BARE/share/continue?state=DIGEST
    GET  BARE/share/continue        token again, state  -- open -->            link state -> one-time code
    POST HOST/.envforge/redeem      code and state cookie  -- redeem -->       session, by its digest alone
    303  HOST/

A member begins with `GET HOST/.envforge/sign-in?next=PATH`: state cookie, 303 `SIGN_IN_URL?host=HOST&state=DIGEST&next=PATH`.
The console, signed in and under policy, makes the one-time code and a page that POSTs `code` and `next` to
`HOST/.envforge/redeem` (its CSP must allow that form action).

A code is good once, for `CODE_FOR_S`, for one host, and for the browser that holds the state whose digest it was made for.
`POST /gateway/v1/open` -> `Opened`; `POST /gateway/v1/redeem` -> `Redeemed`.
"""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, model_validator

from envforge_protocol.gateway.base import Digest, HostName, Revision
from envforge_protocol.gateway.decisions import Refused
from envforge_protocol.host.base import Credential, Message, Revealing

CODE_FOR_S = 60
REDEEM_PATH = "/.envforge/redeem"
# Form fields of what is POSTed to REDEEM_PATH, and query parameters of the address members are sent to.
CODE_FIELD, NEXT_FIELD = "code", "next"
HOST_PARAMETER, STATE_PARAMETER, NEXT_PARAMETER = "host", "state", "next"


class OpenRequest(Revealing):
    """A link whose signature and expiry the gateway has found good. The token goes along and is verified again."""

    token: Credential
    state: Digest
    # The reviewer's network, for the audit's "first use" by period; /24 or /48, never the whole address.
    network: Annotated[str, Field(max_length=64)] = ""


class Opened(Revealing):
    """The link may be opened at `host` with a one-time code, or it may not."""

    revision: Revision
    host: HostName | None = None
    code: Credential | None = None
    refused: Refused | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.refused is None) != (self.code is not None and self.host is not None):
            raise ValueError("takes a host and a code, or a refusal")
        return self


class RedeemRequest(Revealing):
    """A one-time code came to `host` from a browser that holds the state; `session` digests the value it is about to get."""

    code: Credential
    host: HostName
    state: Digest
    session: Digest
    network: Annotated[str, Field(max_length=64)] = ""


class Redeemed(Message):
    """The session exists until `expires_at`, or it does not exist."""

    revision: Revision
    session_id: UUID | None = None
    expires_at: datetime | None = None
    refused: Refused | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.refused is None) != (self.session_id is not None and self.expires_at is not None):
            raise ValueError("takes a session, or a refusal")
        return self


class EndRequest(Message):
    """The browser's own wish: `POST HOST/.envforge/leave`. Answered 204 by `POST /gateway/v1/end`, known or not."""

    session: Digest
    host: HostName
