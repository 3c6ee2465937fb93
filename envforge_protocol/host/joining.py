"""Joining: a VM proves with its role's signature which instance it is (THREATS H4).

1. `POST /host/v1/nonces` -> `Nonce`, good once, for 60 s.
2. The VM signs `POST https://STS/` with body `IDENTITY_BODY` by SigV4, service `sts`, in its own region, with the headers of
   `SIGNED_HEADERS` and no others; which endpoint, the VM was told when it was made. It sends the signature, never a URL.
3. `POST /host/v1/join` with `JoinRequest` -> `Joined`. The control plane rebuilds exactly that request for the one STS
   endpoint it is configured with. Joining again, at any time, renews the token; the earlier one works a minute longer if
   the VM did not start anew.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from envforge_protocol.host.base import Credential, Message, Revealing

NONCE_HEADER = "x-envforge-nonce"
AUDIENCE_HEADER = "x-envforge-audience"
IDENTITY_BODY = "Action=GetCallerIdentity&Version=2011-06-15"
IDENTITY_CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
SIGNED_HEADERS = (
    "content-type",
    "host",
    "x-amz-date",
    "x-amz-security-token",
    AUDIENCE_HEADER,
    NONCE_HEADER,
)
INSTANCE_ID = r"^i-[0-9a-f]{8,17}$"
VERSION = r"^[0-9A-Za-z][0-9A-Za-z._+-]{0,63}$"

InstanceId = Annotated[str, Field(pattern=INSTANCE_ID)]
Version = Annotated[str, Field(pattern=VERSION)]


class NonceRequest(Message):
    """Which instance is about to join; says nothing about whether there is such a one."""

    instance_id: InstanceId


class Nonce(Message):
    """To be signed once, within `expires_in_s`."""

    nonce: str
    audience: str
    expires_in_s: int


class SignedIdentity(Revealing):
    """The signature of the VM's GetCallerIdentity request: its headers, and no address."""

    amz_date: str
    authorization: Credential
    security_token: Credential


class JoinRequest(Revealing):
    """A VM asks to be let in.

    `generation` is the one its user data named; `boot_id` changes with each start of the VM.
    """

    instance_id: InstanceId
    generation: int = Field(ge=1)
    nonce: Annotated[str, Field(max_length=200)]
    identity: SignedIdentity
    boot_id: UUID
    daemon_version: Version
    image_version: Version


class Joined(Revealing):
    """Who the VM is, and its token for the next hour. What it may ask is bound to the token."""

    host_id: UUID
    org_id: UUID
    generation: int
    token: Credential
    expires_at: datetime
    heartbeat_every_s: int
    poll_for_s: int
