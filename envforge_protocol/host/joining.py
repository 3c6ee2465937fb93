"""Joining: a VM proves with its role's signature which instance it is (THREATS H4).

1. `POST /host/v1/nonces` -> `Nonce`, good once, for 60 s.
2. The VM signs `POST https://STS/` with body `Action=GetCallerIdentity&Version=2011-06-15` by SigV4; the headers
   `x-envforge-nonce` and `x-envforge-audience` are among the signed ones. It sends the signature, never a URL.
3. `POST /host/v1/join` with `JoinRequest` -> `Joined`. The control plane rebuilds exactly that request for the one STS
   endpoint it is configured with. Joining again, at any time, renews the token.
"""

from datetime import datetime
from uuid import UUID

from envforge_protocol.host.base import Credential, Message, Revealing

NONCE_HEADER = "x-envforge-nonce"
AUDIENCE_HEADER = "x-envforge-audience"
IDENTITY_BODY = "Action=GetCallerIdentity&Version=2011-06-15"
IDENTITY_CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"


class NonceRequest(Message):
    """Which instance is about to join; says nothing about whether there is such a one."""

    instance_id: str


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

    instance_id: str
    generation: int
    nonce: str
    identity: SignedIdentity
    boot_id: UUID
    daemon_version: str
    image_version: str


class Joined(Revealing):
    """Who the VM is, and its token for the next hour. What it may ask is bound to the token."""

    host_id: UUID
    org_id: UUID
    generation: int
    token: Credential
    expires_at: datetime
    heartbeat_every_s: int
    poll_for_s: int
