"""What an app asks of the git host, in the shape of GitHub's REST API for apps: who it is, and a credential for minutes."""

import json
import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local_cloud.git.access import Access
from local_cloud.git.apps import App, Apps
from local_cloud.git.names import RepositoryName
from local_cloud.git.store import Store

log = logging.getLogger("local_cloud.git")

LARGEST_ASK_BYTES = 16 * 1024
Answer = tuple[HTTPStatus, dict[str, Any] | None]


class Minting:
    """The addresses of apps; every answer but those of success is GitHub's `{"message": ...}`."""

    def __init__(self, store: Store, access: Access, apps: Apps) -> None:
        self._store = store
        self._access = access
        self._apps = apps

    def routes(self) -> list[Route]:
        installation = "/app/installations/{installation}"
        return [
            Route("/app", self.app, methods=["GET"]),
            Route(installation, self.installation, methods=["GET"]),
            Route(f"{installation}/access_tokens", self.mint, methods=["POST"]),
            Route("/installation/token", self.revoke, methods=["DELETE"]),
        ]

    async def app(self, request: Request) -> Response:
        """Which app the signed token is of."""
        app = self._apps.of_token(_bearer(request))
        return _sent("app", _NOT_SIGNED if app is None else (HTTPStatus.OK, {"slug": app.client_id}))

    async def installation(self, request: Request) -> Response:
        """Whose repositories the app may read."""
        app, refused = self._installed(request)
        if app is None:
            return _sent("installation", refused)
        return _sent("installation", (HTTPStatus.OK, {"id": app.owner, "account": {"login": app.owner}}))

    async def mint(self, request: Request) -> Response:
        """A credential that reads exactly one repository."""
        app, refused = self._installed(request)
        return _sent("access_tokens", refused if app is None else await self._minted(request, app))

    async def revoke(self, request: Request) -> Response:
        """End the credential that is presented."""
        if not self._access.revoke(_bearer(request)):
            return _sent("token", (HTTPStatus.UNAUTHORIZED, {"message": "Bad credentials"}))
        return _sent("token", (HTTPStatus.NO_CONTENT, None))

    def _installed(self, request: Request) -> tuple[App | None, Answer]:
        app = self._apps.of_token(_bearer(request))
        if app is None:
            return None, _NOT_SIGNED
        if request.path_params["installation"] != app.owner:
            return None, (HTTPStatus.NOT_FOUND, {"message": "Not Found"})
        return app, _NOT_SIGNED

    async def _minted(self, request: Request, app: App) -> Answer:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_ASK_BYTES:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"message": "The request is too long."}
        try:
            asked = json.loads(body)
        except ValueError:
            return HTTPStatus.BAD_REQUEST, {"message": "The body is not JSON."}
        repositories = asked.get("repositories") if isinstance(asked, dict) else None
        if not isinstance(repositories, list) or [type(one) for one in repositories] != [str]:
            return _unusable('Exactly one name is needed: {"repositories": ["NAME"]}.')
        if asked.get("permissions", {"contents": "read"}) != {"contents": "read"}:
            return _unusable('Only these permissions are given: {"permissions": {"contents": "read"}}.')
        name = RepositoryName.known(f"{app.owner}/{repositories[0]}")
        if name is None or self._store.find(name) is None:
            return _unusable("There is at least one repository that does not exist or is not accessible.")
        minted = self._access.mint(name)
        expires = datetime.fromtimestamp(minted.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return HTTPStatus.CREATED, {
            "token": minted.token,
            "expires_at": expires,
            "permissions": {"contents": "read"},
            "repositories": [{"name": name.name, "full_name": str(name)}],
        }


_NOT_SIGNED: Answer = (
    HTTPStatus.UNAUTHORIZED,
    {"message": "A JSON web token could not be decoded, or is of no app of this git host."},
)


def _unusable(words: str) -> Answer:
    return HTTPStatus.UNPROCESSABLE_ENTITY, {"message": words}


def _bearer(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _sent(what: str, answer: Answer) -> Response:
    status, content = answer
    log.info("app %s %d", what, status)
    headers = {"Cache-Control": "no-store"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if content is None:
        return Response(status_code=status, headers=headers)
    return JSONResponse(content, status, headers)
