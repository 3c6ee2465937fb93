"""Tests in a browser: reported as not run where ./dev test found none, and run while no other test runs.

Chromium cuts what it is loading whenever an address appears on the machine (ERR_NETWORK_CHANGED), and the tests of a
VM's namespaces make addresses all the time. So a browser test waits until the others have ended, and they for it.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what carries the `browser` mark if ENVFORGE_NO_BROWSER is set."""
    if not os.environ.get("ENVFORGE_NO_BROWSER"):
        return
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason="not run: no Chromium on this machine"))


def pytest_configure(config: pytest.Config) -> None:
    """Tests that run side by side take turns in the directory that ENVFORGE_TEST_TURNS names; without it there are none to wait for."""
    if directory := os.environ.get("ENVFORGE_TEST_TURNS"):
        config.pluginmanager.register(Turns(Path(directory)))


class Turns:
    """One process' part in the taking of turns; the kernel gives a turn back when the process dies."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # Who waits to be alone holds the door, so that nobody else comes in meanwhile.
        self._door = _open(directory / "door")
        self._room = _open(directory / "room")
        self._alone = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        """Be in the room for one test, fixtures included; browser tests in a row stay in it."""
        if not self._alone:
            self._enter(alone=_in_a_browser(item))
        try:
            return (yield)
        finally:
            if not (self._alone and nextitem is not None and _in_a_browser(nextitem)):
                self._alone = False
                fcntl.flock(self._room, fcntl.LOCK_UN)

    def _enter(self, *, alone: bool) -> None:
        fcntl.flock(self._door, fcntl.LOCK_EX)
        fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self._door, fcntl.LOCK_UN)
        self._alone = alone


def _open(file: Path) -> int:
    return os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)


def _in_a_browser(item: pytest.Item) -> bool:
    return item.get_closest_marker("browser") is not None
