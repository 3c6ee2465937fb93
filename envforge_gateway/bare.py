"""The bare dev domain: where share links lead, and where shells are relayed (DESIGN 8, THREATS G4)."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import SecretStr

from envforge_gateway import answers
from envforge_gateway.clock import DatabaseClock
from envforge_gateway.control_plane import ControlPlane
from envforge_gateway.errors import Unavailable
from envforge_gateway.networks import network
from envforge_gateway.requests import SHARE_COOKIE
from envforge_protocol.gateway.identity import LinkKey
from envforge_protocol.gateway.link_tokens import BadLinkToken, Claims, public_key, verify
from envforge_protocol.gateway.opening import Opened, OpenRequest
from envforge_protocol.gateway.shells import SHELL_PATH

if TYPE_CHECKING:
    from envforge_gateway.exchange import Exchange
    from envforge_gateway.shells import Shells

SHARE_FOR_S = 300
_DIGEST_CHARACTERS = 64


class Bare:
    """Answers at the bare domain; it has no sessions."""

    def __init__(self, control: ControlPlane, clock: DatabaseClock, shells: "Shells") -> None:
        self._control = control
        self._clock = clock
        self._shells = shells
        self._keys: dict[str, Ed25519PublicKey] = {}

    def use_keys(self, keys: tuple[LinkKey, ...]) -> None:
        """From now on links signed by these, and by no other, are opened."""
        found: dict[str, Ed25519PublicKey] = {}
        for one in keys:
            try:
                found[one.kid] = public_key(one.x)
            except ValueError:
                continue
        self._keys = found

    async def answer(self, exchange: "Exchange") -> None:
        """One request to the bare domain."""
        request = exchange.request
        path, method = request.path, request.method
        reading = method in {b"GET", b"HEAD"}
        if path == SHELL_PATH.encode():
            await self._shells.answer(exchange)
        elif request.is_websocket or request.service_worker:
            exchange.reply(answers.problem(request, 404, "not_found"))
        elif path == b"/share/continue" and reading:
            await self._go_on(exchange)
        elif path.startswith(b"/share/") and reading:
            self._page(exchange, path[len(b"/share/") :].decode("latin-1"))
        elif path == b"/share" and method == b"POST":
            await self._begin(exchange)
        elif path == b"/robots.txt" and reading:
            exchange.reply(answers.Answer(200, b"User-agent: *\nDisallow: /\n"))
        else:
            exchange.reply(answers.problem(request, 404, "not_found"))

    def _page(self, exchange: "Exchange", token: str) -> None:
        if self._claims(exchange, token) is not None:
            exchange.reply(exchange.gateway.pages.share(token))

    async def _begin(self, exchange: "Exchange") -> None:
        request, gateway = exchange.request, exchange.gateway
        if not request.may_come and request.origin != b"null":
            exchange.deny("sibling")
            return
        token = (await exchange.form()).get("token", "")
        claims = self._claims(exchange, token)
        if claims is None:
            return
        # The token rests here until the workspace's host has a state of its own to bind the code to.
        exchange.reply(
            answers.moved(
                f"{gateway.config.origin(claims.host)}/.envforge/open",
                [answers.cookie(SHARE_COOKIE, token, max_age_s=SHARE_FOR_S, same_site="Lax")],
            )
        )

    async def _go_on(self, exchange: "Exchange") -> None:
        request, gateway = exchange.request, exchange.gateway
        state = parse_qs(request.query[1:].decode("latin-1")).get("state", [""])[0]
        if len(state) != _DIGEST_CHARACTERS or not all(one in "0123456789abcdef" for one in state):
            exchange.reply(gateway.pages.refused(request, "state"))
            return
        token = request.other_cookies.get(SHARE_COOKIE, "")
        claims = self._claims(exchange, token)
        if claims is None:
            return
        asked = OpenRequest(token=SecretStr(token), state=state, network=network(request.client))
        try:
            opened = await self._control.ask("/gateway/v1/open", asked, Opened)
        except Unavailable:
            exchange.reply(answers.unavailable(request))
            return
        over = answers.cookie(SHARE_COOKIE, "", max_age_s=0, same_site="Lax")
        if opened.host is None or opened.code is None:
            refusal = gateway.pages.refused(request, opened.refused.word if opened.refused else "link")
            refusal.lines.append(over)
            exchange.reply(refusal)
        elif opened.host != claims.host:
            # Where the link leads is signed; nothing else may say so.
            exchange.reply(gateway.pages.refused(request, "link"))
        else:
            origin = gateway.config.origin(opened.host)
            exchange.reply(gateway.pages.hand_over(origin, opened.code.get_secret_value(), [over]))

    def _claims(self, exchange: "Exchange", token: str) -> Claims | None:
        """What the link says, if its signature holds; else it is answered. Nobody else is asked before."""
        gateway, request = exchange.gateway, exchange.request
        try:
            claims = verify(token, self._keys, audience=gateway.config.domain, now=self._clock.database())
        except BadLinkToken as bad:
            gateway.metrics.refused[f"link_{bad.word}"] += 1
            exchange.reply(gateway.pages.refused(request, "expired" if bad.word == "expired" else "link"))
            return None
        if not claims.host.endswith(gateway.below):
            exchange.reply(gateway.pages.refused(request, "link"))
            return None
        return claims


def query(**given: str) -> str:
    """A query string."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items())
