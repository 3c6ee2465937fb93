"""Asks the control plane (docs/gateway-protocol.md); no answer of its is believed before it has been checked (the only importer of aiohttp)."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from envforge_gateway.errors import IdentityLost, Unavailable
from envforge_protocol.gateway.base import GATEWAY_HEADER
from envforge_protocol.gateway.events import LONGEST_LINE
from envforge_protocol.host.base import PROTOCOL, PROTOCOL_HEADER, Revealing

LONGEST_ANSWER = 1 << 20
CONNECT_S = 3.0
_OK, _NO_CONTENT, _UNAUTHORIZED = 200, 204, 401
M = TypeVar("M", bound=BaseModel)


class ControlPlane:
    """One process's connections to the control plane."""

    def __init__(self, url: str, *, version: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._headers = {PROTOCOL_HEADER: str(PROTOCOL), GATEWAY_HEADER: version}
        self._session: aiohttp.ClientSession | None = None
        self.token = ""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, ttl_dns_cache=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            read_bufsize=LONGEST_LINE,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(
        self, path: str, message: BaseModel | None, answer: type[M], *, token: str | None = None
    ) -> M:
        """One question, one answer of the given kind.

        Raises:
            IdentityLost: the token is not taken.
            Unavailable: no answer, or none that can be used.
        """
        content = await self._post(path, message, token)
        try:
            return answer.model_validate_json(content)
        except ValidationError:
            raise Unavailable(f"The answer to {path} is no {answer.__name__}.") from None

    async def tell(self, path: str, message: BaseModel | None) -> None:
        """Something to be taken note of.

        Raises:
            IdentityLost, Unavailable: as `ask`.
        """
        await self._post(path, message, None)

    async def lines(self, path: str, *, silence_s: float) -> AsyncIterator[bytes]:
        """The lines of an answer without end, until it ends or is silent for so long.

        Raises:
            IdentityLost, Unavailable: as `ask`.
        """
        try:
            async with self._open().get(
                self._url + path,
                headers={**self._headers, "Authorization": f"Bearer {self.token}"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silence_s),
            ) as stream:
                _require(stream.status, path)
                while True:
                    line = await stream.content.readline()
                    if not line.endswith(b"\n"):
                        return
                    yield line
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(type(error).__name__) from None

    async def _post(self, path: str, message: BaseModel | None, token: str | None) -> bytes:
        content = b""
        if message is not None:
            content = message.wire() if isinstance(message, Revealing) else message.model_dump_json().encode()
        try:
            async with self._open().post(
                self._url + path,
                data=content,
                headers={
                    **self._headers,
                    "Authorization": f"Bearer {token or self.token}",
                    "Content-Type": "application/json",
                },
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_S),
            ) as answer:
                _require(answer.status, path)
                found = await answer.content.read(LONGEST_ANSWER)
                while more := await answer.content.read(LONGEST_ANSWER):
                    found += more
                    if len(found) > LONGEST_ANSWER:
                        raise Unavailable(f"The answer to {path} is longer than any that is expected.")
                return found
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # By its kind alone: the text may hold what was sent.
            raise Unavailable(type(error).__name__) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise Unavailable("The client is closed.")
        return self._session


def _require(status: int, path: str) -> None:
    if status == _UNAUTHORIZED:
        raise IdentityLost(f"{path} was answered {status}.")
    if status not in {_OK, _NO_CONTENT}:
        raise Unavailable(f"{path} was answered {status}.")
