"""A run's directory, which root alone can enter: `lock` is held while its keeper lives, `state.json` is what it last told."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

LOCK = "lock"
STATE = "state.json"
OUTPUT = "output"
# What a keeper says when it breaks; in a file, since it outlives whoever could read a pipe.
COMPLAINT = "complaint"


def hold(directory: Path) -> int:
    """Become the run's keeper, until this process ends.

    Raises:
        BlockingIOError: another process is.
    """
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_held(directory: Path) -> bool:
    """Whether a keeper lives."""
    try:
        os.close(hold(directory))
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def write(path: Path, document: Any) -> None:
    """Replace a file in one step."""
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(document, file)
    new.replace(path)


def read(path: Path) -> Any:
    """What is there, or None."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
