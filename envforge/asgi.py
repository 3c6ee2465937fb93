"""The ASGI application: `uvicorn envforge.asgi:application`.

What VMs and gateways ask (`/host/v1/` and `/gateway/v1/`, each at its one host) is answered beside Django's stack of middleware, which would hold a thread for
each poll that waits (docs/decisions/0006-host-api.md); everything else is Django's.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "envforge.settings")

_django: Any = get_asgi_application()

# Only now, with Django set up.
from django.conf import settings  # noqa: E402
from django.http.request import split_domain_port  # noqa: E402

from devlinks.gateway_api import application as _gateways  # noqa: E402
from hosts.api import application as _hosts  # noqa: E402

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Hand a request to whoever answers it."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif _is_for(scope, "/host/v1/", settings.HOST_API_HOST):
        await _hosts(scope, receive, send)
    elif _is_for(scope, "/gateway/v1/", settings.GATEWAY_API_HOST):
        await _gateways(scope, receive, send)
    else:
        await _django(scope, receive, send)


def _is_for(scope: Scope, below: str, host: str) -> bool:
    if scope["type"] != "http" or not scope["path"].startswith(below):
        return False
    named = [value.decode("latin-1") for key, value in scope["headers"] if key == b"host"]
    return len(named) == 1 and split_domain_port(named[0])[0] == host


async def _live(receive: Receive, send: Send) -> None:
    while True:
        event = (await receive())["type"]
        if event == "lifespan.shutdown":
            await _hosts.close()
            await _gateways.close()
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return
