"""A keeper's process before it is told what to keep."""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

from envforge_daemon.keeper import files

PROGRAM = str(Path(files.__file__).with_name("main.py"))


async def make_keeper(*, ahead: bool = False) -> asyncio.subprocess.Process:
    """One that waits for its specification on its standard input; `ahead`: nobody waits for it yet."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", PROGRAM, *(["ahead"] if ahead else [])),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        cwd="/",
        start_new_session=True,
    )


def is_usable(keeper: asyncio.subprocess.Process) -> bool:
    return keeper.returncode is None


async def discard(keeper: asyncio.subprocess.Process) -> None:
    """Told nothing, it ends."""
    await keeper.communicate(b"")


def last_words(directory: Path) -> str:
    """What a keeper that broke said of it."""
    with contextlib.suppress(OSError):
        said = (directory / files.COMPLAINT).read_text(errors="replace").strip().splitlines()
        return said[-1] if said else "no reason given"
    return "no reason given"
