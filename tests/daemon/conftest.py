"""VMs for the tests of the daemon; asynchronous tests are written as coroutines and run by `run`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.machine import Machine, root, why_no_walls

Scene = Callable[[Machine], Awaitable[None]]


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory for a VM's files."""
    with root() as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@pytest.fixture
def on_a_vm(place: Path) -> Callable[..., None]:
    """Runs a scene on a VM of its own, with the walls this machine can have."""

    def run(scene: Scene, **settings: Any) -> None:
        async def play() -> None:
            machine = await Machine.start(place, **settings)
            try:
                async with asyncio.timeout(60):
                    await scene(machine)
            finally:
                with suppress(ProcessLookupError):
                    await machine.end()

        asyncio.run(play())

    return run


@pytest.fixture
def behind_walls(on_a_vm: Callable[..., None]) -> Callable[..., None]:
    """The same, where all walls stand; skipped elsewhere, with the reason."""
    reason = why_no_walls()
    if reason:
        pytest.skip(reason)
    return on_a_vm
