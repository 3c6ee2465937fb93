"""The addresses under `/gateway/v1/`, which gateway processes speak to (docs/gateway-protocol.md).

Beside Django's stack as `/host/v1/` is (docs/decisions/0006-host-api.md): a stream is an entry in a dictionary, not a thread.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.conf import settings

from devlinks import deciding, gateways, opening, relaying, settling, using, waking
from devlinks.feed import Feed
from envforge import metrics
from envforge.errors import NotVisible
from envforge_protocol.gateway.activity import ActivityBatch
from envforge_protocol.gateway.decisions import ResolveRequest
from envforge_protocol.gateway.events import Acknowledgement
from envforge_protocol.gateway.identity import RegisterRequest
from envforge_protocol.gateway.opening import EndRequest, OpenRequest, RedeemRequest
from envforge_protocol.gateway.shells import ShellRequest
from envforge_protocol.gateway.waking import WakeRequest
from envforge_protocol.host.base import Message
from hosts.door import Answer, Doorway, Handler, HostApplication, Refused, Request, require_rate
from hosts.rates import Buckets

LARGEST_REVISION = 2**62


class GatewayDoor(Doorway):
    """What the addresses share in one process: threads, rates, and what every stream is told."""

    def __init__(self) -> None:
        super().__init__(*settings.GATEWAY_RATES["address"])
        self._by_gateway = Buckets(*settings.GATEWAY_RATES["gateway"])
        self.feed = Feed(self.in_database)

    async def gateway_of(self, request: Request) -> UUID:
        """Whose token this is, counted.

        Raises:
            GatewayNotRecognised, TooMany: it is nobody's; they ask too often.
        """
        require_rate(self.by_address.wait(request.address))
        try:
            gateway = await self.in_database(gateways.gateway_of, request.token)
        except gateways.GatewayNotRecognised:
            self.count_address(request.address)
            raise
        require_rate(self._by_gateway.take(str(gateway.id)))
        return gateway.id

    async def close(self) -> None:
        await self.feed.close()
        await super().close()


async def register(request: Request) -> Answer:
    """An identity, for a process that holds the deployment's credential."""
    request.door.count_address(request.address)
    asked = await request.message(RegisterRequest)
    return Answer(await request.door.in_database(gateways.register, request.token, asked))


async def renew(request: Request) -> Answer:
    """The same identity, longer."""
    await request.door.gateway_of(request)
    return Answer(await request.door.in_database(gateways.renew, request.token))


async def leave(request: Request) -> Answer:
    """A process has nothing open any more."""
    await request.door.gateway_of(request)
    await request.door.in_database(gateways.leave, request.token)
    return Answer(status=204)


async def events(request: Request) -> Answer:
    """What is to be forgotten, as it commits."""
    gateway_id = await request.door.gateway_of(request)
    after = request.whole_number("after", LARGEST_REVISION)
    return Answer(lines=request.door.feed.lines(gateway_id, after))


async def acknowledgements(request: Request) -> Answer:
    """What a gateway did about it."""
    await request.door.gateway_of(request)
    told = await request.message(Acknowledgement)
    await request.door.in_database(settling.acknowledge, request.token, told)
    return Answer(status=204)


def _asking(kind: type[Message], work: Callable[[Any], Message | None]) -> Handler:
    """An address that hands one message to one function, and answers what it answers."""

    async def handler(request: Request) -> Answer:
        await request.door.gateway_of(request)
        told = await request.message(kind)
        answer = await request.door.in_database(work, told)
        return Answer(status=204) if answer is None else Answer(answer)

    return handler


ROUTES: dict[tuple[str, str], tuple[str, Handler]] = {
    ("POST", "/gateway/v1/register"): ("register", register),
    ("POST", "/gateway/v1/renew"): ("renew", renew),
    ("POST", "/gateway/v1/leave"): ("leave", leave),
    ("POST", "/gateway/v1/open"): ("open", _asking(OpenRequest, opening.open_link)),
    ("POST", "/gateway/v1/redeem"): ("redeem", _asking(RedeemRequest, opening.redeem)),
    ("POST", "/gateway/v1/end"): ("end", _asking(EndRequest, opening.end)),
    ("POST", "/gateway/v1/resolve"): ("resolve", _asking(ResolveRequest, deciding.resolve)),
    ("POST", "/gateway/v1/wake"): ("wake", _asking(WakeRequest, waking.wake)),
    ("POST", "/gateway/v1/shells"): ("shells", _asking(ShellRequest, relaying.open_shell)),
    ("POST", "/gateway/v1/activity"): ("activity", _asking(ActivityBatch, using.take)),
    ("GET", "/gateway/v1/events"): ("events", events),
    ("POST", "/gateway/v1/acknowledgements"): ("acknowledgements", acknowledgements),
}
_PATHS = {path for _, path in ROUTES}


def find(method: str, path: str) -> tuple[str, Handler, dict[str, Any]]:
    """The address' name and what answers it.

    Raises:
        NotVisible: there is no such address.
        Refused: it takes another method.
    """
    if path not in _PATHS:
        raise NotVisible
    if (method, path) not in ROUTES:
        raise Refused(405, "Method Not Allowed", "This address does not take that kind of request.", "method")
    name, handler = ROUTES[method, path]
    return name, handler, {}


application = HostApplication(find, GatewayDoor, metrics.GATEWAY_REQUESTS)
