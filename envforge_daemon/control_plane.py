"""Speaking to the control plane as this VM: every request carries the token, which is renewed before it ends."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from envforge_daemon import VERSION
from envforge_daemon.aws import sign_identity
from envforge_daemon.backoff import Backoff
from envforge_daemon.config import Config
from envforge_daemon.errors import Refused, Unreachable
from envforge_daemon.http import Answer, Client
from envforge_daemon.identity import Boot
from envforge_daemon.metadata import Metadata
from envforge_protocol.host.base import DAEMON_HEADER, PROTOCOL, PROTOCOL_HEADER, Message, Problem, Revealing
from envforge_protocol.host.joining import Joined, JoinRequest, Nonce, NonceRequest

log = logging.getLogger("envforge_daemon")
M = TypeVar("M", bound=BaseModel)

BUSY = (429, 502, 503, 504)
# Renewed when this much of its life is left, so that a control plane that is down for minutes does not lock a VM out.
RENEW_BEFORE = timedelta(minutes=20)
LONGEST_RETRY_AFTER_S = 60.0


class ControlPlane:
    """The `/host/v1` of one control plane."""

    def __init__(self, config: Config, client: Client, boot: Boot) -> None:
        self._config = config
        self._client = client
        self._boot = boot
        self._metadata = Metadata(client, config.metadata_endpoint)
        self._joined: Joined | None = None
        self._joining = asyncio.Lock()

    @property
    def joined(self) -> Joined | None:
        """Who the control plane says we are; None before the first join."""
        return self._joined

    def forget(self) -> None:
        """Join again before anything else is asked."""
        self._joined = None

    # Joining (THREATS H4)

    async def join(self) -> Joined:
        """The token that is good now; joins where there is none or it soon ends.

        Raises:
            Unreachable: control plane or metadata service gave no answer.
            Refused: the control plane does not take us for this VM.
        """
        async with self._joining:
            if self._joined is None:
                self._joined = await self._join_now()
            elif self._joined.expires_at - datetime.now(UTC) < RENEW_BEFORE:
                try:
                    self._joined = await self._join_now()
                except Unreachable:
                    if self._joined.expires_at <= datetime.now(UTC):
                        raise
            return self._joined

    async def _join_now(self) -> Joined:
        instance = await self._metadata.instance_id()
        asked = NonceRequest(instance_id=instance)
        nonce = self._read(await self._send("POST", "nonces", body=asked), Nonce)
        if nonce.audience.rstrip("/") != self._config.control_plane:
            # What is signed is good for whoever is named in it: sign for our own control plane, never for one that relays.
            raise Refused(
                403, f"The control plane names itself {nonce.audience}, not {self._config.control_plane}."
            )
        signed = sign_identity(
            await self._metadata.credentials(), nonce, sts=self._config.sts, region=self._config.region
        )
        request = JoinRequest(
            instance_id=instance,
            generation=self._config.generation,
            nonce=nonce.nonce,
            identity=signed,
            boot_id=self._boot.id,
            daemon_version=VERSION,
            image_version=self._config.image,
        )
        joined = self._read(await self._send("POST", "join", body=request), Joined)
        if joined.host_id != self._config.host_id:
            raise Refused(
                403, "The control plane takes this VM for another one. Its user data must be written anew."
            )
        log.info("joined as generation %s; the token is good until %s", joined.generation, joined.expires_at)
        return joined

    # Asking

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Message | bytes | None = None,
        timeout_s: float = 10.0,
    ) -> Answer:
        """One request with the token; joins first, and once more where the token works no longer.

        Raises:
            Unreachable: no answer, or one that says to come again later.
            Refused: any other answer that is no success.
        """
        for attempt in (1, 2):
            joined = await self.join()
            try:
                return await self._send(
                    method,
                    path,
                    body=body,
                    timeout_s=timeout_s,
                    headers={"Authorization": f"Bearer {joined.token.get_secret_value()}"},
                )
            except Refused as error:
                if error.status != 401 or attempt == 2:
                    raise
                if self._joined is joined:
                    self.forget()
        raise AssertionError("unreachable")

    async def ask_until_answered(
        self, method: str, path: str, *, body: Message | bytes | None = None
    ) -> Answer:
        """The same, for as long as it takes.

        Raises:
            Refused: the control plane answered, and trying again would not change it.
        """
        backoff = Backoff()
        while True:
            try:
                return await self.ask(method, path, body=body)
            except Unreachable:
                await backoff.wait()
            except Refused as error:
                # Not joined: the host is being stopped or replaced, or the clock is wrong. Time may help.
                if error.status not in (401, 403):
                    raise
                await backoff.wait(at_least_s=5.0)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: Message | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> Answer:
        content, kind = _content(body)
        answer = await self._client.request(
            method,
            f"{self._config.control_plane}/host/v1/{path}",
            headers={
                PROTOCOL_HEADER: str(PROTOCOL),
                DAEMON_HEADER: VERSION,
                "Accept": "application/json",
                **({"Content-Type": kind} if content is not None else {}),
                **(headers or {}),
            },
            body=content,
            timeout_s=timeout_s,
        )
        if 200 <= answer.status < 300:
            return answer
        sentence = _sentence(answer)
        if answer.status in BUSY or answer.status >= 500:
            await asyncio.sleep(_asked_to_wait_s(answer))
            raise Unreachable(f"The control plane is busy (status {answer.status}). {sentence}")
        raise Refused(answer.status, sentence, problem=_problem(answer))

    @staticmethod
    def _read(answer: Answer, kind: type[M]) -> M:
        return read(answer, kind)


def read(answer: Answer, kind: type[M]) -> M:
    """An answer as the message it should be.

    Raises:
        Unreachable: it is none; something between us and the control plane answered.
    """
    try:
        return kind.model_validate_json(answer.body)
    except ValidationError:
        raise Unreachable("The answer is not one of the control plane's.") from None


def _content(body: Message | bytes | None) -> tuple[bytes | None, str]:
    if body is None:
        return None, ""
    if isinstance(body, bytes):
        return body, "application/octet-stream"
    if isinstance(body, Revealing):
        return body.wire(), "application/json"
    return body.model_dump_json().encode(), "application/json"


def _problem(answer: Answer) -> Problem | None:
    try:
        return Problem.model_validate_json(answer.body)
    except ValidationError:
        return None


def _sentence(answer: Answer) -> str:
    problem = _problem(answer)
    return problem.detail if problem else f"The answer has status {answer.status} and says nothing more."


def _asked_to_wait_s(answer: Answer) -> float:
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), LONGEST_RETRY_AFTER_S) if asked.isdigit() else 0.0
