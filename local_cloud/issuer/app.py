"""The issuer as a web application: its routes, and what every answer carries."""

import logging
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local_cloud.issuer import discovery, pages, sign_in, sign_out, tokens
from local_cloud.issuer.issuer import Issuer

log = logging.getLogger("local_cloud.issuer")

_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with that, browsers send `Origin: null` even to ourselves.
    "Referrer-Policy": "same-origin",
}


class EveryAnswer:
    """Adds the headers every answer has, and logs method, path and status: never a query, a body or a header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_ALWAYS)
                headers.setdefault("Cache-Control", "no-store")
                log.info("%s %r %s", scope["method"], scope["path"], message["status"])
            await send(message)

        await self._app(scope, receive, send_with_headers)


def build_app(issuer: Issuer) -> Starlette:
    """The ASGI application of one issuer, at Auth0's paths."""
    # A foreign name that resolves to this machine must not make our pages readable to its owner (DNS rebinding).
    hosts = {urlsplit(issuer.url).hostname or "localhost", "localhost", "127.0.0.1"}
    app = Starlette(
        routes=[
            Route("/authorize", sign_in.authorize, methods=["GET", "POST"]),
            Route("/u/login", sign_in.choose, methods=["POST"]),
            Route("/oauth/token", tokens.exchange, methods=["POST"]),
            Route("/userinfo", tokens.userinfo, methods=["GET", "POST"]),
            Route("/oidc/logout", sign_out.logout, methods=["GET", "POST"]),
            Route("/u/logout", sign_out.answer, methods=["POST"]),
            Route("/.well-known/openid-configuration", discovery.metadata),
            Route("/.well-known/jwks.json", discovery.key_set),
            Route("/_local/rotate-key", discovery.rotate_key, methods=["POST"]),
            Route("/health", discovery.health),
            *(Route(path, pages.asset) for path in pages.ASSET_PATHS),
        ],
        middleware=[Middleware(EveryAnswer), Middleware(TrustedHostMiddleware, allowed_hosts=sorted(hosts))],
    )
    app.state.issuer = issuer
    return app
