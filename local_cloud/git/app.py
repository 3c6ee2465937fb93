"""The git host as a web application: the door to the repositories, and the one that gives credentials for minutes."""

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from local_cloud.git import backend
from local_cloud.git.access import Access, Caller, password_of
from local_cloud.git.apps import Apps
from local_cloud.git.minting import Minting
from local_cloud.git.names import NAME, OWNER, RepositoryName
from local_cloud.git.store import Store

log = logging.getLogger("local_cloud.git")

REALM = 'Basic realm="EnvForge git", charset="UTF-8"'
READ, PUSH = "git-upload-pack", "git-receive-pack"
# Matched against the path as it was sent: nothing in it may need decoding.
_DOOR = re.compile(rf"/({OWNER}/{NAME})/(info/refs|{READ}|{PUSH})")
_PROTOCOL = re.compile(r"version=[0-9](?::[a-z0-9=.-]{1,40}){0,4}")
_ABOUT = "The git host of EnvForge's local cloud. ./dev repo list says what is here.\n"


def build_app(store: Store, access: Access) -> ASGIApp:
    """The ASGI application over a store."""
    doors = Router(
        routes=[
            Route("/", about),
            Route("/health", health),
            *Minting(store, access, Apps(store.directory)).routes(),
        ],
        default=Door(store, access),
        redirect_slashes=False,
    )
    # A foreign name that resolves to this machine must not make repositories readable to its owner (DNS rebinding).
    return TrustedHostMiddleware(doors, allowed_hosts=["localhost", "127.0.0.1"])


async def about(_request: Request) -> Response:
    return PlainTextResponse(_ABOUT)


async def health(_request: Request) -> Response:
    return JSONResponse({"ok": True})


class Door:
    """`/OWNER/NAME[.git]/...`: the three addresses of git's smart HTTP protocol (gitprotocol-http(5)), and no others."""

    def __init__(self, store: Store, access: Access) -> None:
        self._store = store
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began = time.monotonic()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        asked = _asked(scope, headers)
        if asked is None:
            log.info("%s - 404", _method(scope))
            await _text(HTTPStatus.NOT_FOUND, "There is nothing here.")(scope, receive, send)
            return
        password = password_of(headers.get("authorization", ""))
        caller = Caller.NOBODY if password is None else self._access.caller(asked.repository, password)
        request, refused = self._decide(asked, caller)
        if refused is not None:
            carried = backend.Carried(refused.status_code)
            await refused(scope, receive, send)
        else:
            carried = await backend.answer(request, self._store.repositories, receive, send)
        log.info(
            "%s %s %s %s %d in=%d out=%d %.0f ms",
            *(request.method, request.repository, request.service, caller.value),
            *(carried.status, carried.taken_bytes, carried.sent_bytes, (time.monotonic() - began) * 1000),
        )

    def _decide(
        self, asked: backend.GitRequest, caller: Caller
    ) -> tuple[backend.GitRequest, Response | None]:
        if caller is Caller.NOBODY:
            # The same for a repository that is not there: nobody learns which are.
            words = "A token that reads this repository is needed as the password."
            return asked, _text(HTTPStatus.UNAUTHORIZED, words, {"WWW-Authenticate": REALM})
        if self._store.find(asked.repository) is None:
            return asked, _text(HTTPStatus.NOT_FOUND, f"There is no repository {asked.repository}.")
        if asked.service == PUSH and not caller.may_push:
            words = "This token reads. Pushing takes the developer's own: ./dev repo show NAME."
            return asked, _text(HTTPStatus.FORBIDDEN, words)
        return replace(asked, may_push=caller.may_push), None


def _asked(scope: Scope, headers: Mapping[str, str]) -> backend.GitRequest | None:
    """What a request asks of which repository, or None if that is nothing of git's protocol."""
    found = _DOOR.fullmatch(scope["raw_path"].decode("latin-1"))
    name = RepositoryName.known(found[1].removesuffix(".git")) if found else None
    if found is None or name is None:
        return None
    path, query = found[2], scope["query_string"].decode("latin-1")
    service = query.removeprefix("service=") if path == "info/refs" else path
    wanted_method = "GET" if path == "info/refs" else "POST"
    if service not in {READ, PUSH} or scope["method"] != wanted_method:
        return None
    if path != "info/refs" and query:
        return None
    protocol = headers.get("git-protocol", "")
    return backend.GitRequest(
        method=wanted_method,
        repository=name,
        path=path,
        service=service,
        may_push=False,
        content_type=headers.get("content-type", ""),
        content_length=headers.get("content-length", ""),
        content_encoding=headers.get("content-encoding", ""),
        protocol=protocol if _PROTOCOL.fullmatch(protocol) else "",
    )


def _method(scope: Scope) -> str:
    """For the log, which must not say what anybody made up."""
    return scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "PUT"} else "?"


def _text(status: HTTPStatus, words: str, headers: Mapping[str, str] | None = None) -> Response:
    return PlainTextResponse(words + "\n", status, {"Cache-Control": "no-store", **(headers or {})})
