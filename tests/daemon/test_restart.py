"""What must not be lost or left when the program restarts, or its disk is full (W9, THREATS H2)."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from envforge_daemon.commands.desk import Desk
from envforge_daemon.ingress import Ingress
from envforge_daemon.locks import Locks
from envforge_daemon.parts import Doing
from envforge_daemon.reports import Outbox
from envforge_daemon.state import Documents
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.commands import Leased, RemoveWorkspace
from envforge_protocol.host.reports import ContractChanged
from envforge_protocol.host.runtimes import Step
from tests.daemon.machine import Machine
from tests.daemon.rig import Rig, until, web

Play = Callable[..., None]


def test_w9_receipts_of_setup_outlive_a_restart_in_the_middle_of_a_start(behind_walls: Play) -> None:
    """W9: what had ended is told by the start that goes on, and what ran goes on instead of beginning anew."""

    async def scene(vm: Machine) -> None:
        rig = Rig(vm)
        workspace = vm.wire("main")
        steps = (
            Step(name="install", command=("sh", "-c", "echo x >> first.txt")),
            Step(name="build", command=("sh", "-c", "echo x >> second.txt; sleep 2; exit 0")),
        )
        service = web(setup=steps)
        first = asyncio.create_task(rig.start(workspace, service))
        inside = await vm.workspaces.ensure(workspace)
        await until((inside.directory / "second.txt").exists)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        rig.restart()
        try:
            inside = await vm.workspaces.ensure(workspace)
            readiness = (await rig.start(workspace, service)).readiness
            assert readiness.blockers == ()
            told = [(one.name, one.exit_status) for one in readiness.services[0].setup]
            assert told == [("install", 0), ("build", 0)]
            # Without a record of cached files a step is due at every start, and only what was running is not begun again.
            assert await inside.read_file("second.txt", limit=10) == b"x\n"
            # Told once: the next start of the wake finds the service up and tells of none.
            again = (await rig.start(workspace, service)).readiness
            assert again.services[0].setup == ()
        finally:
            await rig.stop(workspace)
            rig.close()

    behind_walls(scene)


def test_nothing_is_left_of_a_start_that_was_stopped_or_of_a_workspace_that_left(behind_walls: Play) -> None:
    """Receipts of a wake that nobody answers for, and all that the program wrote of the workspace."""

    async def scene(vm: Machine) -> None:
        rig = Rig(vm)
        workspace = vm.wire("main")
        steps = (
            Step(name="install", command=("true",)),
            Step(name="build", command=("sh", "-c", "touch second.txt; sleep 30")),
        )
        try:
            first = asyncio.create_task(rig.start(workspace, web(setup=steps)))
            inside = await vm.workspaces.ensure(workspace)
            await until((inside.directory / "second.txt").exists)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            assert list(vm.config.run_dir.rglob("*setup*.json"))
            await rig.stop(workspace)
            assert not list(vm.config.run_dir.rglob("*setup*.json"))
            await vm.workspaces.remove(workspace, delete_files=True)
            assert not list((vm.config.run_dir / "workspaces").iterdir())
        finally:
            rig.close()

    behind_walls(scene)


def test_no_lock_is_left_of_what_has_gone() -> None:
    async def scene() -> None:
        locks = Locks()
        order: list[int] = []

        async def hold(number: int) -> None:
            async with locks.held("one"):
                order.append(number)
                await asyncio.sleep(0)
                order.append(number)

        waiting = [asyncio.create_task(hold(number)) for number in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert order == [0, 0, 2, 2]
        assert len(locks) == 0

    asyncio.run(scene())


def test_an_error_of_the_program_itself_ends_no_carrier(
    behind_walls: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A carrier holds people's connections: only what says that it is gone has it replaced."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        ingress = Ingress(vm.config, vm.workspaces)
        await ingress.set(one, ())
        before = one.group("carrier").processes()

        async def none_free(*_: Any, **__: Any) -> dict[str, Any]:
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patched:
            patched.setattr(ingress, "_ask", none_free)
            with pytest.raises(OSError, match="Too many open files"):
                await ingress.set(one, ())
        assert one.group("carrier").processes() == before != []
        await ingress.close(one.wire)

    behind_walls(scene)


class Full(Documents):
    """A directory on a disk that has no room left."""

    def write_now(self, name: str, document: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


class Told:
    """A control plane that takes what it is told."""

    joined = None

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    async def ask_until_answered(self, _method: str, _path: str, *, body: Any) -> None:
        self.bodies.append(body)

    async def ask(self, *_: Any, **__: Any) -> None:
        await asyncio.sleep(0)


def test_a_full_disk_fails_a_command_in_words_and_stops_nothing(tmp_path: Path) -> None:
    """The result says what to do, it is told though it cannot be kept, and a report is told from memory."""

    async def scene() -> None:
        told = Told()
        desk = Desk(told, Full(tmp_path / "results"))  # type: ignore[arg-type]

        async def remove(*_: Any) -> Any:
            raise OSError(errno.ENOSPC, "No space left on device")

        desk.register([Doing(RemoveWorkspace, remove)])
        workspace = wire.Workspace(
            id=uuid4(), slug="a", user="a", uid=200_000, storage=wire.Storage(kind="directory", directory="a")
        )
        desk.take(
            Leased(
                id=uuid4(),
                lease=uuid4(),
                lease_for_s=30,
                attempt=1,
                payload=RemoveWorkspace(workspace=workspace),
            )
        )
        await until(lambda: desk.running == 0)
        (result,) = told.bodies
        assert result.failure.word == "disk_full"
        assert result.failure.sentence.startswith("The disk of the workspace's VM is full. Delete")
        outbox = Outbox(Full(tmp_path / "reports"))
        await outbox.add(ContractChanged(workspace_id=workspace.id, directory="app", digest=""))
        sent: list[Any] = []

        class Taking:
            async def ask(self, _method: str, _path: str, *, body: Any) -> Any:
                sent.append(body)
                raise LookupError

        with pytest.raises(LookupError):
            await outbox._deliver_some(Taking())  # type: ignore[arg-type]
        assert [report.body.directory for report in sent[0].reports] == ["app"]

    asyncio.run(scene())
