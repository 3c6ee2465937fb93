"""The catcher as a web application, whose life is also the SMTP server's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_cloud.mail import pages
from local_cloud.mail.reading import Letter, read
from local_cloud.mail.sink import listening
from local_cloud.mail.store import KEPT, Caught, Store

LISTED = 200


def build_app(store: Store, *, smtp_port: int) -> Starlette:
    """The ASGI application over a store; it takes mail on `smtp_port` from its start to its end."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with listening(store, smtp_port):
            yield

    app = Starlette(
        routes=[
            Route("/", messages),
            Route("/messages/{number:int}", message),
            Route("/messages/{number:int}/html", message_html),
            Route("/messages/{number:int}/source", message_source),
            Route("/api/messages", api_messages),
            Route("/health", health),
            *(Route(path, pages.asset) for path in pages.ASSET_PATHS),
        ],
        # A foreign name that resolves to this machine must not make our pages readable to its owner (DNS rebinding).
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1"])],
        exception_handlers={HTTPException: refusal},
        lifespan=lifespan,
    )
    app.state.store = store
    app.state.smtp_port = smtp_port
    return app


async def messages(request: Request) -> Response:
    """The page: all messages, the newest first."""
    letters = [read(caught) for caught in _store(request).newest(LISTED)]
    return pages.page(
        "list.html", letters=letters, smtp_port=request.app.state.smtp_port, kept=KEPT, listed=LISTED
    )


async def message(request: Request) -> Response:
    """One message: who, when, the text, and the HTML in a sandboxed frame."""
    return pages.page("letter.html", letter=_letter(request))


async def message_html(request: Request) -> Response:
    return pages.letter_html(_letter(request).html)


async def message_source(request: Request) -> Response:
    return pages.source(_caught(request).content)


async def api_messages(request: Request) -> Response:
    """`GET /api/messages[?to=ADDRESS]`: the newest first, decoded, as `{"messages": [...]}`."""
    found = _store(request).newest(LISTED, recipient=request.query_params.get("to", ""))
    letters = [read(caught).as_json() for caught in found]
    return JSONResponse({"messages": letters}, headers={"Cache-Control": "no-store"})


async def health(_request: Request) -> Response:
    """200 once mail is taken: the web side starts after the SMTP side."""
    return JSONResponse({"ok": True})


async def refusal(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    return pages.page("nothing.html", status_code=status)


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


def _caught(request: Request) -> Caught:
    caught = _store(request).one(min(request.path_params["number"], 2**62))
    if caught is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return caught


def _letter(request: Request) -> Letter:
    return read(_caught(request))
