"""Setup steps: what makes a checkout able to run, done again only when something it depends on changed.

What a step made lies in the workspace's files, so the record of it lies beside it, where the workspace may write. Whoever
forges it skips their own setup.
"""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import Workspace
from envforge_daemon.keeper import files
from envforge_daemon.services.keepers import Keepers, Kept, State, Wanted
from envforge_protocol.host.runtimes import Blocker, Service, Step, StepRan

RECORDS = ".envforge/setup"
LONGEST_FILE = 16 << 20
LONGEST_RECORD = 65536

Say = Callable[[str], None]


class Receipts:
    """The steps that one wake ran for a service, kept until the wake is answered for: a restart of the program loses none."""

    def __init__(self, workspace: Workspace, service: str, epoch: int) -> None:
        self._file = workspace.run_dir / f"setup-{service}.json"
        self.epoch = epoch
        self.ran: list[StepRan] = []
        document = files.read(self._file)
        if document is not None and document["epoch"] == epoch:
            self.ran = [StepRan.model_validate(step) for step in document["ran"]]
        # In the same wake they are not run again.
        self.done = {step.name for step in self.ran if step.exit_status == 0 and not step.timed_out}

    def add(self, step: StepRan) -> None:
        """Note a step that has ended; what was noted and not yet forgotten when the program ended is noted again."""
        self.ran[:] = [*(one for one in self.ran if one.name != step.name), step]
        files.write(
            self._file, {"epoch": self.epoch, "ran": [one.model_dump(mode="json") for one in self.ran]}
        )

    def told(self) -> None:
        """The wake is answered for."""
        self._file.unlink(missing_ok=True)

    @staticmethod
    def forget(workspace: Workspace) -> None:
        """Whatever wake it was, nobody answers for it any more."""
        for file in workspace.run_dir.glob("setup-*.json"):
            file.unlink(missing_ok=True)


async def digest(workspace: Workspace, service: Service, step: Step, image: str) -> str:
    """What a step depends on: its text, the files it names, the service's directory and the VM's base image."""
    made = hashlib.sha256(json.dumps([step.name, step.command, service.directory, image]).encode())
    for name in step.cache_files:
        try:
            content = await workspace.read_file(f"{service.directory}/{name}", limit=LONGEST_FILE)
        except IsolationError:
            # Too long, or no regular file: then nobody can say that nothing changed.
            return ""
        made.update(json.dumps([name, content is not None]).encode())
        made.update(hashlib.sha256(content or b"").digest())
    return made.hexdigest()


async def run_setup(
    keepers: Keepers,
    workspace: Workspace,
    service: Service,
    *,
    environment: dict[str, str],
    masks: tuple[bytes, ...],
    image: str,
    say: Say,
    receipts: Receipts,
) -> Blocker | None:
    """Run the steps that are due, in order, and note each in `receipts`; why the service is not set up, or None."""
    record = await _read(workspace, service) if service.setup else {}
    for step in service.setup:
        now = await digest(workspace, service, step, image) if step.cache_files else ""
        if step.name in receipts.done or (now and record.get(step.name) == now):
            continue
        say("setting_up")
        kept = await _begun(keepers, workspace, service, step, receipts.epoch) or await _begin(
            keepers, workspace, service, step, receipts.epoch, environment=environment, masks=masks
        )
        # Left alone by whoever ends this program meanwhile; who stops the runtime ends it (`Runtimes.stop`).
        while not (state := await kept.next(1.0)).ended:
            pass
        receipts.add(_receipt(step, state))
        await keepers.forget(kept)
        blocker = _blocker(service, step, state)
        if blocker:
            return blocker
        # Anew: the step may have written the files it depends on (a lock file).
        record[step.name] = await digest(workspace, service, step, image) if step.cache_files else ""
        await workspace.write_file(f"{RECORDS}/{service.name}.json", json.dumps(record).encode())
    return None


async def _read(workspace: Workspace, service: Service) -> dict[str, Any]:
    try:
        document = json.loads(
            await workspace.read_file(f"{RECORDS}/{service.name}.json", limit=LONGEST_RECORD) or b"{}"
        )
    except (IsolationError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


async def _begun(
    keepers: Keepers, workspace: Workspace, service: Service, step: Step, epoch: int
) -> Kept | None:
    """The step, where an earlier run of the program began it for the same wake; any other that was left is ended."""
    kept = keepers.get(workspace, f"setup-{service.name}")
    if kept is None:
        return None
    state = kept.state()
    if (kept.about.get("step"), kept.about.get("epoch")) == (step.name, epoch) and not (
        state.ended and state.exit_status is None
    ):
        return kept
    await keepers.forget(kept)
    return None


async def _begin(
    keepers: Keepers,
    workspace: Workspace,
    service: Service,
    step: Step,
    epoch: int,
    *,
    environment: dict[str, str],
    masks: tuple[bytes, ...],
) -> Kept:
    return await keepers.start(
        workspace,
        Wanted(
            name=f"setup-{service.name}",
            command=step.command,
            account=service.account,
            directory=service.directory,
            environment=environment,
            masks=masks,
            limits=service.limits,
            about={"step": step.name, "epoch": epoch},
            log=f"{service.name}.setup.log",
            timeout_s=step.timeout_s,
            grace_s=2.0,
        ),
    )


def _receipt(step: Step, state: State) -> StepRan:
    until = state.ended_at or time.time()
    return StepRan(
        name=step.name,
        exit_status=state.exit_status,
        duration_ms=max(0, round((until - (state.began_at or until)) * 1000)),
        timed_out=state.timed_out,
    )


def _blocker(service: Service, step: Step, state: State) -> Blocker | None:
    if state.timed_out:
        reason = f"The setup step {step.name!r} did not end within {step.timeout_s} s."
    elif state.exit_status:
        reason = f"The setup step {step.name!r} ended with exit status {state.exit_status}."
    elif state.exit_status is None:
        reason = f"The setup step {step.name!r} was ended from outside."
    else:
        return None
    log = f"Its output is in logs/{service.name}.setup.log of the workspace."
    return Blocker(service=service.name, at="setup", reason=f"{reason} {log}", exit_status=state.exit_status)
