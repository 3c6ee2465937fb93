"""`/.envforge` at every workspace host: how sessions begin and end (THREATS G4). A service never sees these paths."""

import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from envforge_gateway import answers, paths
from envforge_gateway.bare import query
from envforge_gateway.clock import DatabaseClock, now
from envforge_gateway.control_plane import ControlPlane
from envforge_gateway.errors import Unavailable
from envforge_gateway.networks import network
from envforge_gateway.requests import SESSION_COOKIE, STATE_COOKIE, Request
from envforge_protocol.gateway.base import OPAQUE_BYTES, digest, is_opaque
from envforge_protocol.gateway.opening import (
    CODE_FIELD,
    HOST_PARAMETER,
    NEXT_FIELD,
    NEXT_PARAMETER,
    STATE_PARAMETER,
    EndRequest,
    Redeemed,
    RedeemRequest,
)

if TYPE_CHECKING:
    from envforge_gateway.exchange import Exchange

STATE_FOR_S = 600
_LONGEST_CODE = 128
_CLEAR_STORAGE = b'Clear-Site-Data: "storage"'


class Reserved:
    """Answers below `/.envforge` of workspace hosts."""

    def __init__(self, control: ControlPlane, clock: DatabaseClock) -> None:
        self._control = control
        self._clock = clock
        self.sign_in: str | None = None

    async def answer(self, exchange: "Exchange") -> None:
        """One request to a reserved path."""
        request = exchange.request
        seen = paths.collapsed(paths.decoded(request.path))
        reading = request.method in {b"GET", b"HEAD"}
        if request.service_worker or request.is_websocket:
            exchange.deny("sibling")
        elif seen == b"/.envforge/redeem" and request.method == b"POST":
            await self._redeem(exchange)
        elif seen == b"/.envforge/leave" and request.method == b"POST":
            await self._leave(exchange)
        elif seen == b"/.envforge/open" and reading:
            self._open(exchange)
        elif seen == b"/.envforge/sign-in" and reading:
            self._sign_in(exchange)
        elif seen == b"/.envforge/progress" and reading:
            await self._progress(exchange)
        else:
            exchange.reply(answers.problem(request, 404, "not_found"))

    def _open(self, exchange: "Exchange") -> None:
        """A state for this host, before any code for it exists."""
        if not _is_by_hand(exchange.request):
            exchange.deny("sibling")
            return
        config = exchange.gateway.config
        state = _opaque()
        exchange.reply(
            answers.moved(
                f"{config.origin(config.domain)}/share/continue?{query(state=digest(state))}",
                [_state_cookie(state), _CLEAR_STORAGE],
            )
        )

    def _sign_in(self, exchange: "Exchange") -> None:
        request = exchange.request
        if not _is_by_hand(request):
            exchange.deny("sibling")
            return
        if not self.sign_in:
            exchange.reply(answers.problem(request, 404, "not_found"))
            return
        following = parse_qs(request.query[1:].decode("latin-1")).get("next", ["/"])[0]
        state = _opaque()
        given = {
            HOST_PARAMETER: request.host,
            STATE_PARAMETER: digest(state),
            NEXT_PARAMETER: following if paths.is_local(following) else "/",
        }
        exchange.reply(answers.moved(f"{self.sign_in}?{query(**given)}", [_state_cookie(state)]))

    async def _redeem(self, exchange: "Exchange") -> None:
        """A one-time code, POSTed from the bare domain or the console, with the state set here before."""
        request, gateway = exchange.request, exchange.gateway
        known = {b"null", gateway.origin(request.host), gateway.origin(gateway.config.domain)}
        if self.sign_in:
            parts = urlsplit(self.sign_in)
            known.add(f"{parts.scheme}://{parts.netloc}".encode())
        if request.origin is not None and request.origin not in known:
            exchange.deny("sibling")
            return
        fields = await exchange.form()
        code = fields.get(CODE_FIELD, "")
        state = request.other_cookies.get(STATE_COOKIE, "")
        if not code or len(code) > _LONGEST_CODE or not code.isascii():
            exchange.reply(gateway.pages.refused(request, "code"))
            return
        if not is_opaque(state):
            exchange.reply(gateway.pages.refused(request, "state"))
            return
        session = _opaque()
        asked = RedeemRequest(
            code=SecretStr(code),
            host=request.host,
            state=digest(state),
            session=digest(session),
            network=network(request.client),
        )
        try:
            redeemed = await self._control.ask("/gateway/v1/redeem", asked, Redeemed)
        except Unavailable:
            exchange.reply(answers.unavailable(request))
            return
        over = answers.cookie(STATE_COOKIE, "", max_age_s=0, same_site="None")
        if redeemed.expires_at is None:
            refusal = gateway.pages.refused(request, redeemed.refused.word if redeemed.refused else "code")
            refusal.lines.append(over)
            exchange.reply(refusal)
            return
        following = fields.get(NEXT_FIELD, "/")
        lasts = max(0, int(self._clock.local(redeemed.expires_at) - now()))
        exchange.reply(
            answers.moved(
                following if paths.is_local(following) else "/",
                [
                    answers.CLEAR,
                    over,
                    answers.cookie(SESSION_COOKIE, session, max_age_s=lasts, same_site="Lax"),
                ],
            )
        )

    async def _leave(self, exchange: "Exchange") -> None:
        request = exchange.request
        if not request.may_come:
            exchange.deny("sibling")
            return
        if request.digest is not None:
            try:
                await self._control.tell(
                    "/gateway/v1/end", EndRequest(session=request.digest.hex(), host=request.host)
                )
            except Unavailable:
                exchange.reply(answers.unavailable(request))
                return
        exchange.reply(answers.Answer(204, lines=[answers.CLEAR, answers.END_SESSION]))

    async def _progress(self, exchange: "Exchange") -> None:
        request, gateway = exchange.request, exchange.gateway
        if not request.may_come:
            exchange.deny("sibling")
            return
        if request.digest is None or not gateway.freshness.may_serve:
            exchange.reply(
                answers.unavailable(request)
                if request.digest
                else gateway.pages.refused(request, "no_session")
            )
            return
        try:
            found = gateway.cache.get(request.digest, request.host) or await gateway.resolver.resolve(
                request.digest, request.host
            )
            if isinstance(found, str) or found.plan is None:
                exchange.reply(
                    gateway.pages.refused(request, found if isinstance(found, str) else "no_session")
                )
                return
            exchange.reply(answers.data(200, await gateway.waker.progress(found, found.plan)))
        except Unavailable:
            exchange.reply(answers.unavailable(request))


def _opaque() -> str:
    return secrets.token_urlsafe(OPAQUE_BYTES)


def _state_cookie(state: str) -> bytes:
    # The bare domain may be a site of its own (Public Suffix List), and what it POSTs here a cross-site request then.
    return answers.cookie(STATE_COOKIE, state, max_age_s=STATE_FOR_S, same_site="None")


def _is_by_hand(request: Request) -> bool:
    """Whether a browser's address bar leads here; programs, which say nothing, are let through."""
    if request.mode is None and request.dest is None:
        return request.origin is None
    return request.mode == b"navigate" and request.dest == b"document"
