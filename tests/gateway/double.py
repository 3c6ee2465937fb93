"""The control plane's side of docs/gateway-protocol.md, small enough to be told what to answer."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel

from envforge_protocol.gateway.activity import ActivityBatch
from envforge_protocol.gateway.base import Surface, digest
from envforge_protocol.gateway.decisions import Refused, Resolved, ResolveRequest
from envforge_protocol.gateway.events import Acknowledgement, Drain, Heartbeat, Hello, Key, Keys, Purge
from envforge_protocol.gateway.identity import Grace, LinkKey, Registered, RegisterRequest, Renewed
from envforge_protocol.gateway.link_tokens import Claims, public_text, sign
from envforge_protocol.gateway.opening import EndRequest, Opened, OpenRequest, Redeemed, RedeemRequest
from envforge_protocol.gateway.shells import Shell, ShellOpened, ShellRequest
from envforge_protocol.gateway.waking import WakeAnswer, WakeRequest
from envforge_protocol.host.base import Revealing

CREDENTIAL = "envf_deployment_tests"
DOMAIN = "dev.test"
HOST = f"web--main--acme.{DOMAIN}"
OTHER_HOST = f"web--main--mallet.{DOMAIN}"
ALL = frozenset(Surface)


class ControlPlane:
    """Sessions, links and shells as a test sets them; everything that was asked is kept."""

    def __init__(self) -> None:
        self.host, self.domain = HOST, DOMAIN
        self.key = Ed25519PrivateKey.generate()
        self.grace = Grace(heartbeat_every_ms=50, refuse_after_ms=1000, cut_after_ms=2500)
        self.revision = 10
        self.heartbeats = True
        self.token = ""
        self.registrations = 0
        self.renew_after_s = 300
        self.sessions: dict[tuple[str, str], Callable[[], Resolved]] = {}
        self.made: list[dict[str, Any]] = []
        self.codes: dict[str, tuple[str, str, str, UUID | None]] = {}
        self.refuse_open: str | None = None
        self.wake: Callable[[WakeRequest], WakeAnswer] = lambda _: WakeAnswer(
            revision=self.revision, state="waking", estimate_s=8, retry_after_s=3
        )
        self.shells: dict[str, Shell] = {}
        self.asked: list[tuple[str, Any]] = []
        self.acknowledged: list[Acknowledgement] = []
        self.batches: list[ActivityBatch] = []
        self.left = 0
        self.down: set[str] = set()
        self.hold: dict[str, asyncio.Event] = {}
        self.sign_in_url: str | None = "https://console.test/dev/enter"
        self._streams: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        await asyncio.sleep(0)

    # What a test says

    def session(self, value: str, *, host: str | None = None, **given: Any) -> dict[str, Any]:
        """Make a session; returns the decision's fields, which a test may change."""
        said: dict[str, Any] = {
            "session_id": uuid4(),
            "link_id": uuid4(),
            "workspace_id": uuid4(),
            "organization_id": uuid4(),
            "workspace": "main",
            "service": "web",
            "surfaces": ALL,
            "routes": {},
            "runtime": {"state": "asleep"},
            "expires_at": datetime.now(UTC) + timedelta(hours=1),
            **given,
        }
        self.made.append(said)
        self.sessions[(digest(value), host or self.host)] = lambda: Resolved.model_validate(
            {"revision": self.revision, "decision": said}
        )
        return said

    def refuse(self, value: str, word: str, *, host: str = HOST) -> None:
        self.sessions[(digest(value), host)] = lambda: Resolved(
            revision=self.revision, refused=Refused(word=word)
        )

    def link(
        self,
        *,
        host: str | None = None,
        lasts_s: int = 3600,
        key: Ed25519PrivateKey | None = None,
        **given: Any,
    ) -> str:
        now = int(datetime.now(UTC).timestamp())
        claims = Claims.model_validate(
            {
                "aud": self.domain,
                "link": uuid4(),
                "rotation": 0,
                "service": "web",
                "workspace": uuid4(),
                "organization": uuid4(),
                "surfaces": ("web",),
                "host": host or self.host,
                "iat": now,
                "exp": now + lasts_s,
                **given,
            }
        )
        return sign(claims, kid="one", key=key or self.key)

    def purge(
        self, kind: str, named: UUID | None, *, epoch: int | None = None, cut: bool = True, lose: bool = False
    ) -> int:
        """Commit a change; with `lose` its event never reaches a stream."""
        before, self.revision = self.revision, self.revision + 1
        event = Purge(
            revision=self.revision,
            after=before,
            key=Key.model_validate({"kind": kind, "id": named, "epoch": epoch}),
            reason="revoked",
            cut=cut,
        )
        if not lose:
            self.say(event)
        return self.revision

    def say(self, event: BaseModel) -> None:
        for writer in list(self._streams):
            self._line(writer, event)

    def rotate_keys(self) -> Ed25519PrivateKey:
        old, self.key = self.key, Ed25519PrivateKey.generate()
        self.say(Keys(keys=(self._key(),)))
        return old

    def drain(self, within_s: int) -> None:
        self.say(Drain(within_s=within_s))

    def break_streams(self) -> None:
        for writer in list(self._streams):
            writer.transport.abort()

    async def acknowledgement_of(self, revision: int) -> Acknowledgement:
        async with asyncio.timeout(5):
            while True:
                for one in self.acknowledged:
                    if any(done.revision == revision for done in one.applied) or (
                        one.emptied and one.revision >= revision
                    ):
                        return one
                await asyncio.sleep(0.005)

    def asked_for(self, what: str) -> list[Any]:
        return [message for path, message in self.asked if path == what]

    # What a gateway gets

    def _key(self) -> LinkKey:
        return LinkKey(kid="one", x=public_text(self.key.public_key()))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                _, target, _ = first.split(" ")
                fields = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
                }
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                assert fields["envforge-protocol"] == "1"
                what = target.removeprefix("/gateway/v1/").partition("?")[0]
                if what in self.hold:
                    await self.hold[what].wait()
                if what in self.down:
                    writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
                    continue
                expected = CREDENTIAL if what == "register" else self.token
                if fields.get("authorization") != f"Bearer {expected}":
                    writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                    continue
                if what == "events":
                    await self._stream(writer, int(target.rpartition("=")[2]))
                    return
                answer = getattr(self, f"_{what}")(body)
                text = (
                    b""
                    if answer is None
                    else answer.wire()
                    if isinstance(answer, Revealing)
                    else answer.model_dump_json().encode()
                )
                status = "204 No Content" if answer is None else "200 OK"
                length = "" if answer is None else f"Content-Length: {len(text)}\r\n"
                writer.write(f"HTTP/1.1 {status}\r\n{length}\r\n".encode() + text)
        self._connections.discard(writer)
        writer.close()

    async def _stream(self, writer: asyncio.StreamWriter, after: int) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        # What lay between is forgotten: the process must find out.
        self._line(writer, Hello(starts_after=self.revision if after != self.revision else after))
        self._streams.add(writer)
        try:
            while not writer.is_closing():
                if self.heartbeats:
                    self._line(writer, Heartbeat(revision=self.revision, at=datetime.now(UTC)))
                await asyncio.sleep(self.grace.heartbeat_every_ms / 1000)
        finally:
            self._streams.discard(writer)

    def _line(self, writer: asyncio.StreamWriter, event: BaseModel) -> None:
        if writer.is_closing():
            return
        line = event.model_dump_json().encode() + b"\n"
        writer.write(b"%x\r\n%b\r\n" % (len(line), line))

    def _register(self, body: bytes) -> Registered:
        RegisterRequest.model_validate_json(body)
        self.registrations += 1
        self.token = f"envf_gateway_{self.registrations}"
        return Registered.model_validate(
            {
                "gateway_id": uuid4(),
                "token": self.token,
                "renew_after_s": self.renew_after_s,
                "expires_at": datetime.now(UTC) + timedelta(minutes=10),
                "now": datetime.now(UTC),
                "revision": self.revision,
                "keys": (self._key(),),
                "grace": self.grace,
                "sign_in_url": self.sign_in_url,
            }
        )

    def _renew(self, _body: bytes) -> Renewed:
        now = datetime.now(UTC)
        return Renewed.model_validate(
            {
                "token": self.token,
                "expires_at": now + timedelta(minutes=10),
                "renew_after_s": self.renew_after_s,
                "now": now,
            }
        )

    def _leave(self, _body: bytes) -> None:
        self.left += 1

    def _resolve(self, body: bytes) -> Resolved:
        asked = ResolveRequest.model_validate_json(body)
        self.asked.append(("resolve", asked))
        found = self.sessions.get((asked.session, asked.host))
        return found() if found else Resolved(revision=self.revision, refused=Refused(word="no_session"))

    def _open(self, body: bytes) -> Opened:
        asked = OpenRequest.model_validate_json(body)
        self.asked.append(("open", asked))
        if self.refuse_open:
            return Opened(revision=self.revision, refused=Refused(word=self.refuse_open))
        code = hashlib.sha256(uuid4().bytes).hexdigest()[:43]
        self.codes[code] = (self.host, asked.state, asked.token.get_secret_value(), None)
        return Opened.model_validate({"revision": self.revision, "host": self.host, "code": code})

    def _redeem(self, body: bytes) -> Redeemed:
        asked = RedeemRequest.model_validate_json(body)
        self.asked.append(("redeem", asked))
        host, state, _, _ = self.codes.pop(asked.code.get_secret_value(), ("", "", "", None))
        if host != asked.host:
            return Redeemed(revision=self.revision, refused=Refused(word="code"))
        if state != asked.state:
            return Redeemed(revision=self.revision, refused=Refused(word="state"))
        made = self.session("unused", **self.next_session)
        self.sessions[(asked.session, host)] = self.sessions.pop((digest("unused"), self.host))
        return Redeemed(revision=self.revision, session_id=made["session_id"], expires_at=made["expires_at"])

    next_session: dict[str, Any] = {}

    def _end(self, body: bytes) -> None:
        self.asked.append(("end", EndRequest.model_validate_json(body)))

    def _wake(self, body: bytes) -> WakeAnswer:
        asked = WakeRequest.model_validate_json(body)
        self.asked.append(("wake", asked))
        return self.wake(asked)

    def _shells(self, body: bytes) -> ShellOpened:
        asked = ShellRequest.model_validate_json(body)
        shell = self.shells.pop(asked.ticket.get_secret_value(), None)
        refused = None if shell else Refused(word="ticket")
        return ShellOpened(revision=self.revision, shell=shell, refused=refused)

    def _activity(self, body: bytes) -> None:
        told = json.loads(body)
        batch = ActivityBatch.model_validate_json(body)
        assert told
        self.batches.append(batch)

    def _acknowledgements(self, body: bytes) -> None:
        self.acknowledged.append(Acknowledgement.model_validate_json(body))
