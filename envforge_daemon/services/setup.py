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
from envforge_daemon.services.keepers import Keepers, State, Wanted
from envforge_protocol.host.runtimes import Blocker, Service, Step, StepRan

RECORDS = ".envforge/setup"
LONGEST_FILE = 16 << 20
LONGEST_RECORD = 65536

Say = Callable[[str], None]


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
    ran: list[StepRan],
) -> Blocker | None:
    """Run the steps that are due, in order, and note each in `ran`; why the service is not set up, or None."""
    record = await _read(workspace, service) if service.setup else {}
    for step in service.setup:
        now = await digest(workspace, service, step, image) if step.cache_files else ""
        if now and record.get(step.name) == now:
            continue
        say("setting_up")
        state = await _run(keepers, workspace, service, step, environment=environment, masks=masks)
        ran.append(_receipt(step, state))
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


async def _run(
    keepers: Keepers,
    workspace: Workspace,
    service: Service,
    step: Step,
    *,
    environment: dict[str, str],
    masks: tuple[bytes, ...],
) -> State:
    kept = await keepers.start(
        workspace,
        Wanted(
            name=f"setup-{service.name}",
            command=step.command,
            account=service.account,
            directory=service.directory,
            environment=environment,
            masks=masks,
            limits=service.limits,
            log=f"{service.name}.setup.log",
            timeout_s=step.timeout_s,
            grace_s=2.0,
        ),
    )
    try:
        while not (state := await kept.next(1.0)).ended:
            pass
        return state
    finally:
        await keepers.forget(kept)


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
