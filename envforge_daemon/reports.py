"""What must not be lost: kept on disk until the control plane has it, sent again until then, in order."""

import asyncio
import logging
from datetime import UTC, datetime
from uuid import uuid4

from pydantic import ValidationError

from envforge_daemon.backoff import Backoff
from envforge_daemon.control_plane import ControlPlane, read
from envforge_daemon.errors import DaemonError
from envforge_daemon.state import Documents
from envforge_protocol.host.reports import MOST_REPORTS, Body, Report, Reports, Taken

log = logging.getLogger("envforge_daemon")


class Outbox:
    """Reports on their way."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._waiting = asyncio.Event()
        self._last = 0
        # What the disk had no room for: told all the same, unless the program ends before.
        self._unkept: dict[str, Report] = {}
        if documents.names():
            self._waiting.set()

    async def add(self, body: Body) -> None:
        """Something happened; once this returns, it is told sooner or later."""
        report = Report(id=uuid4(), at=datetime.now(UTC), body=body)
        # Names sort in the order things happened, also within one tick of the clock and across runs.
        self._last = max(self._last + 1, int(report.at.timestamp() * 1_000_000))
        name = f"{self._last:020d}-{report.id}"
        try:
            await self._documents.write(name, report.model_dump(mode="json"))
        except OSError as error:
            log.error(  # noqa: TRY400 - its sentence says it all
                "a report is kept in memory alone: %s", error.strerror
            )
            self._unkept[name] = report
        self._waiting.set()

    async def deliver(self, control_plane: ControlPlane) -> None:
        """Send what is there, for as long as the program runs."""
        backoff = Backoff()
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            try:
                while await self._deliver_some(control_plane):
                    backoff.succeeded()
            except DaemonError as error:
                log.warning("reports wait: %s", error)
                self._waiting.set()
                await backoff.wait()

    async def _deliver_some(self, control_plane: ControlPlane) -> bool:
        names = sorted([*self._documents.names(), *self._unkept])[:MOST_REPORTS]
        batch = {}
        for name in names:
            if name in self._unkept:
                batch[name] = self._unkept[name]
                continue
            try:
                batch[name] = Report.model_validate(self._documents.read(name))
            except ValidationError:
                # Of a version whose reports nobody understands any more, or damaged: it would block all others for ever.
                log.error(  # noqa: TRY400 - its sentence says it all
                    "a report cannot be read and is dropped: %s", name
                )
                self._documents.remove(name)
        if not batch:
            return bool(names)
        answer = await control_plane.ask("POST", "reports", body=Reports(reports=tuple(batch.values())))
        taken = set(read(answer, Taken).ids)
        for name, report in batch.items():
            if report.id in taken:
                self._unkept.pop(name, None)
                self._documents.remove(name)
        return bool(taken)
