"""HTTP as the program speaks it: bounded in time, without redirects, and nothing of it in a log (the only importer of aiohttp)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp

from envforge_daemon.errors import Unreachable

CONNECT_S = 5.0
LONGEST_ANSWER = 8 << 20


@dataclass(frozen=True)
class Answer:
    """Status, body and headers (names in lower case)."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Client:
    """One pool of connections for the whole program."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=32, ttl_dns_cache=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float = 10.0,
    ) -> Answer:
        """One request, one answer, whatever its status.

        Raises:
            Unreachable: no connection, no answer in time, or a broken one; named by its kind, as the text may hold what was sent.
        """
        if self._session is None:
            raise Unreachable("The client is closed.")
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S),
            ) as answer:
                content = await answer.content.read(LONGEST_ANSWER + 1)
                while len(content) <= LONGEST_ANSWER and (more := await answer.content.read(LONGEST_ANSWER)):
                    content += more
                if len(content) > LONGEST_ANSWER:
                    raise Unreachable("The answer is longer than any that is expected.")
                found = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(answer.status, content, found)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(type(error).__name__) from None
