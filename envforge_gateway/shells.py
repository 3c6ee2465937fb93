"""The relay of one SSH connection to one workspace's VM: a WebSocket outside, TCP inside (THREATS H7, L5)."""

from typing import TYPE_CHECKING

from pydantic import SecretStr

from envforge_gateway import answers
from envforge_gateway.cache import Entry
from envforge_gateway.clock import DatabaseClock, now
from envforge_gateway.control_plane import ControlPlane
from envforge_gateway.errors import Unavailable
from envforge_gateway.frames import accept
from envforge_gateway.joined import Joined
from envforge_gateway.messages import BadFrame, Messages, frame
from envforge_gateway.upstream import Pool, Upstream
from envforge_protocol.gateway.shells import SUBPROTOCOL, Shell, ShellOpened, ShellRequest

if TYPE_CHECKING:
    from envforge_gateway.exchange import Exchange
    from envforge_gateway.front import Front
    from envforge_gateway.gateway import Gateway

_LONGEST_TICKET = 256
# Above every epoch: a runtime that falls asleep has nothing to do with its workspace's shell.
_NO_EPOCH = 1 << 62
NORMAL, GOING_AWAY, BAD = 1000, 1001, 1002


class Shells:
    """Spends tickets and opens relays."""

    def __init__(self, control: ControlPlane, clock: DatabaseClock) -> None:
        self._control = control
        self._clock = clock

    async def answer(self, exchange: "Exchange") -> None:
        """An upgrade with a ticket becomes a relay; anything else is refused."""
        request, gateway = exchange.request, exchange.gateway
        scheme, _, ticket = request.authorization.decode("latin-1").partition(" ")
        offered = {one.strip() for one in request.websocket_protocol.decode("latin-1").split(",")}
        if request.origin is not None:
            # Tickets are for programs; no page has business here.
            exchange.deny("sibling")
            return
        if not request.is_websocket or SUBPROTOCOL not in offered:
            exchange.reply(answers.problem(request, 426, "upgrade", lines=[b"Upgrade: websocket"]))
            return
        if scheme.lower() != "bearer" or not ticket or len(ticket) > _LONGEST_TICKET or not ticket.isascii():
            exchange.reply(answers.problem(request, 401, "ticket"))
            return
        if not gateway.freshness.may_serve:
            exchange.reply(answers.unavailable(request))
            return
        try:
            opened = await self._control.ask(
                "/gateway/v1/shells", ShellRequest(ticket=SecretStr(ticket)), ShellOpened
            )
        except Unavailable:
            exchange.reply(answers.unavailable(request))
            return
        if opened.shell is None:
            exchange.reply(answers.problem(request, 403, opened.refused.word if opened.refused else "ticket"))
            return
        await self._connect(exchange, opened.shell, opened.revision)

    async def _connect(self, exchange: "Exchange", shell: Shell, revision: int) -> None:
        request, gateway = exchange.request, exchange.gateway
        entry = self._entry(gateway, shell, revision)
        if not gateway.config.may_dial(shell.address):
            gateway.log("upstream.outside", workspace=str(shell.workspace_id))
            exchange.reply(answers.problem(request, 502, "no_service"))
            return
        pool = Pool(shell.workspace_id, _NO_EPOCH, shell.address, shell.port)
        try:
            upstream = await pool.connect(gateway.config.connect_timeout_s)
        except (OSError, TimeoutError):
            exchange.reply(
                answers.problem(
                    request, 502, "connect", detail="The shell's machine does not answer.", retry_after_s=3
                )
            )
            return
        if (
            exchange.front.closed
            or not gateway.cache.is_current(entry, revision)
            or not gateway.freshness.may_serve
            or entry.expires_at <= now()
        ):
            upstream.close()
            exchange.reply(answers.unavailable(request))
            return
        exchange.front.send(_switching(request.websocket_key))
        gateway.cache.register(entry)
        relay = ShellRelay(gateway, exchange.front, upstream, entry)
        entry.opened(relay)
        upstream.taker = relay
        gateway.metrics.answers[101] += 1
        exchange.front.into_tunnel(relay)

    def _entry(self, gateway: "Gateway", shell: Shell, revision: int) -> Entry:
        entry = Entry(
            digest=b"",
            host="",
            plan=None,
            revision=revision,
            expires_at=self._clock.local(shell.expires_at),
            of_link=gateway.cache.of_link(None),
            session_id=shell.session_id,
            link_id=None,
            person_id=shell.person_id,
            workspace_id=shell.workspace_id,
            organization_id=shell.organization_id,
        )
        entry.epoch = _NO_EPOCH
        return entry


def _switching(key: bytes) -> bytes:
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: "
        + accept(key)
        + b"\r\nSec-WebSocket-Protocol: "
        + SUBPROTOCOL.encode()
        + b"\r\n\r\n"
    )


class ShellRelay(Joined):
    """One open shell; takes the client's messages apart and makes messages of what SSH answers."""

    __slots__ = ("_messages",)

    def __init__(self, gateway: "Gateway", front: "Front", upstream: Upstream, entry: Entry) -> None:
        super().__init__(gateway, front, upstream, entry)
        self._messages = Messages()
        gateway.tunnels.add(self)

    def client_data(self, data: bytes) -> None:
        if self._over:
            return
        if not self._gateway.freshness.may_stay_open:
            self.cut()
            return
        try:
            content, controls, ended = self._messages.feed(data)
        except BadFrame:
            self._say_goodbye(BAD)
            return
        for pong in controls:
            self._front.send(pong)
        if content and not self._upstream.closed:
            self._upstream.transport.write(content)
        if ended:
            self._say_goodbye(NORMAL)

    def upstream_data(self, data: bytes) -> None:
        if self._over:
            return
        if not self._gateway.freshness.may_stay_open:
            self.cut()
            return
        self._front.send(frame(data))

    def leave(self) -> None:
        """A shell is not moved: it stays until the process's own end, and is told then."""

    def cut(self) -> None:
        if not self._over:
            self._end()
        self._front.abort()

    def _say_goodbye(self, code: int) -> None:
        self._front.send(b"\x88\x02" + code.to_bytes(2, "big"))
        self._end()
        self._front.close()

    def _end(self) -> None:
        self._over = True
        self._gateway.tunnels.discard(self)
        self._gateway.cache.closed(self._entry, self)
        upstream = self._upstream
        upstream.taker = None
        if not upstream.closed:
            # What was written is still sent on: SSH's last words.
            upstream.transport.close()

    def client_lost(self) -> None:
        if not self._over:
            self._end()

    def client_ended(self) -> None:
        self.client_lost()

    def upstream_lost(self) -> None:
        if not self._over:
            self._say_goodbye(NORMAL)
