"""One command from lease to acknowledged result.

Delivery is at least once: a command that runs already is not started again but goes on under its new lease, and one that is
finished answers the result that was kept. What is kept is its outcome, never its payload, which may hold credentials (K2).
"""

import asyncio
import contextlib
import errno
import logging
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from envforge_daemon.commands.lanes import Interrupted, Lanes
from envforge_daemon.control_plane import ControlPlane
from envforge_daemon.errors import CommandFailed, DaemonError, IsolationError, Refused
from envforge_daemon.parts import Doing, Outcome, Task
from envforge_daemon.state import Documents
from envforge_protocol.host.commands import PROGRESS_EVERY_S, Failure, Leased, Progress, Result

log = logging.getLogger("envforge_daemon")

LONGEST_SENTENCE = 500
OVER = (404, 409, 410)
STEP_LASTS_S = 0.25
FULL = (errno.ENOSPC, errno.EDQUOT)
DISK_FULL = "The disk of the workspace's VM is full. Delete what is not needed in the shell, or replace the VM; then try again."
WORD = re.compile(r"[a-z][a-z0-9_]{0,60}")


@dataclass(eq=False)
class _Job:
    """A command under way; `lease` is the latest one, None once it was lost."""

    task: Task
    lease: UUID | None
    kind: str
    runner: "asyncio.Task[None] | None" = None
    stepped: asyncio.Event = field(default_factory=asyncio.Event)


class Desk:
    """All commands of this VM."""

    def __init__(self, control_plane: ControlPlane, kept: Documents) -> None:
        self._control_plane = control_plane
        self._kept = kept
        self._doings: dict[str, Doing] = {}
        self._lanes = Lanes()
        self._jobs: dict[UUID, _Job] = {}

    def register(self, doings: Iterable[Doing]) -> None:
        """Kinds of command and who does them; each kind once."""
        for doing in doings:
            if doing.kind in self._doings:
                raise ValueError(f"{doing.kind} is done by two parts")
            self._doings[doing.kind] = doing

    @property
    def running(self) -> int:
        """How many commands are under way."""
        return len(self._jobs)

    def take(self, leased: Leased) -> None:
        """Do a leased command, or go on with it; returns at once."""
        job = self._jobs.get(leased.id)
        if job is not None:
            job.lease = leased.lease
            job.stepped.set()
            return
        job = _Job(Task(leased.id, leased.attempt), leased.lease, leased.payload.kind)
        job.task.progress = self._progress_of(job)  # type: ignore[method-assign]  # tells at once
        self._jobs[leased.id] = job
        job.runner = asyncio.create_task(self._do(job, leased), name=f"{job.kind} {leased.id}")

    @staticmethod
    def _progress_of(job: _Job) -> Any:
        def progress(step: str) -> None:
            job.task.step = step
            job.stepped.set()

        return progress

    async def close(self, *, within_s: float) -> None:
        """Give what runs a moment to end, then leave it: the control plane leases it again."""
        runners = [job.runner for job in self._jobs.values() if job.runner]
        if runners:
            _, left = await asyncio.wait(runners, timeout=within_s)
            for runner in left:
                runner.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _do(self, job: _Job, leased: Leased) -> None:
        keeper = asyncio.create_task(self._keep_lease(job))
        try:
            kept = self._kept.read(str(leased.id))
            outcome = _as_result(kept) if kept is not None else None
            keeping: asyncio.Task[None] | None = None
            if outcome is None:
                outcome = await self._outcome(job, leased)
                # Beside the telling: an end in between loses neither more than an end just before would have.
                keeping = asyncio.create_task(self._keep(leased.id, outcome))
            keeper.cancel()
            try:
                told = await self._tell(job, outcome)
            finally:
                if keeping is not None:
                    await keeping
            if told:
                self._kept.remove(str(job.task.id))
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
            self._jobs.pop(leased.id, None)

    async def _keep(self, command_id: UUID, outcome: dict[str, Any]) -> None:
        try:
            await self._kept.write(str(command_id), outcome)
        except OSError as error:
            # It is told now; only who asks once more after a restart has it done again.
            log.error("a result could not be kept: %s", error.strerror)  # noqa: TRY400

    async def _outcome(self, job: _Job, leased: Leased) -> dict[str, Any]:
        """The result without its lease, as it is kept."""
        try:
            return {"outcome": (await self._done(job, leased)).model_dump(mode="json")}
        except CommandFailed as error:
            failure = Failure(word=error.word, sentence=str(error)[:LONGEST_SENTENCE], again=error.again)
        except IsolationError as error:
            failure = Failure(word="isolation", sentence=str(error)[:LONGEST_SENTENCE], again=True)
        except Interrupted:
            failure = Failure(word="interrupted", sentence="A later command of the workspace ended this one.")
        except OSError as error:
            if error.errno not in FULL:
                return self._fault(job, leased)
            log.error("%s %s: the disk is full", job.kind, leased.id)  # noqa: TRY400
            failure = Failure(word="disk_full", sentence=DISK_FULL, again=True)
        except Exception:  # noqa: BLE001 - `_fault` logs it
            return self._fault(job, leased)
        return {"failure": failure.model_dump(mode="json")}

    @staticmethod
    def _fault(job: _Job, leased: Leased) -> dict[str, Any]:
        """A fault of the program, while its exception is handled."""
        # With its place, which holds no value; never with its text, which may.
        log.error("%s %s failed by a fault of the program", job.kind, leased.id, exc_info=_without_text())
        failure = Failure(
            word="fault",
            sentence="The VM's program failed while doing this. Try again; if it stays, replace the VM.",
            again=True,
        )
        return {"failure": failure.model_dump(mode="json")}

    async def _done(self, job: _Job, leased: Leased) -> Outcome:
        doing = self._doings.get(job.kind)
        if doing is None:
            raise CommandFailed(
                "unknown_kind", f"This VM's image cannot do {job.kind}; replace the VM by a newer image."
            )
        payload: Any = leased.payload
        workspace = payload.workspace.id if hasattr(payload, "workspace") else payload.workspace_id
        async with self._lanes.entered(workspace, doing):
            return await doing.handler(job.task, payload)

    async def _keep_lease(self, job: _Job) -> None:
        """Extend the lease while the command runs, and say where it stands; a lost lease is not reported under."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROGRESS_EVERY_S):
                    await job.stepped.wait()
                    # A step that is over at once is not worth a request, which would hold up the result.
                    await asyncio.sleep(STEP_LASTS_S)
            job.stepped.clear()
            lease = job.lease
            if lease is None:
                continue
            step = job.task.step if WORD.fullmatch(job.task.step) else ""
            try:
                await self._control_plane.ask(
                    "POST", f"commands/{job.task.id}/progress", body=Progress(lease=lease, step=step)
                )
            except Refused as error:
                if error.status in OVER and job.lease == lease:
                    log.warning("the lease of %s %s is lost; it goes on unreported", job.kind, job.task.id)
                    job.lease = None
            except DaemonError:
                # Not answered: the next one follows by itself.
                continue

    async def _tell(self, job: _Job, outcome: dict[str, Any]) -> bool:
        """Tell how a command ended; False where the result is to be kept, as it may be asked for once more."""
        lease = job.lease
        if lease is None:
            return False
        result = Result.model_validate({"lease": str(lease), **outcome})
        try:
            await self._control_plane.ask_until_answered(
                "POST", f"commands/{job.task.id}/result", body=result
            )
        except Refused as error:
            if error.status == 409 and job.lease not in (None, lease):
                return await self._tell(job, outcome)
            if error.status not in OVER:
                log.error(  # noqa: TRY400 - its sentence says it all
                    "the result of %s %s was refused: %s", job.kind, job.task.id, error
                )
            if error.status == 409:
                # If it is leased once more, this is its answer.
                return False
        return True


def _as_result(kept: Any) -> dict[str, Any] | None:
    """What was kept, if it is still a result to this version of the protocol."""
    try:
        Result.model_validate({"lease": str(UUID(int=0)), **kept})
    except (ValidationError, TypeError):
        return None
    return dict(kept)


def _without_text() -> tuple[type[BaseException], BaseException, Any]:
    kind, error, trace = sys.exc_info()
    if kind is None or error is None:
        raise RuntimeError("no exception is being handled")
    return Exception, Exception(kind.__name__), trace
