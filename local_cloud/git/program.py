"""Running git so that nothing of the caller's configuration, hooks or prompts takes part."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from local_cloud.errors import LocalCloudError

TIMEOUT_S = 600.0
# Given with the command, so that nothing a repository says can undo it (git-config(1), GIT_CONFIG_COUNT).
SETTINGS: dict[str, str] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    # A large file goes through in pieces, not through memory.
    "core.bigFileThreshold": "8m",
    "pack.threads": "1",
    "pack.windowMemory": "64m",
    # A push waits for its own tidying; no process outlives its request.
    "gc.autoDetach": "false",
    "maintenance.autoDetach": "false",
    "receive.maxInputSize": "2g",
    "transfer.hideRefs": "refs/envforge",
    "uploadpack.allowFilter": "true",
    "uploadpack.allowReachableSHA1InWant": "true",
}


def environment(**more: str) -> dict[str, str]:
    """The complete environment of a git process."""
    numbered: dict[str, str] = {}
    for index, (name, value) in enumerate(SETTINGS.items()):
        numbered |= {f"GIT_CONFIG_KEY_{index}": name, f"GIT_CONFIG_VALUE_{index}": value}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": str(len(SETTINGS)),
        "GIT_TERMINAL_PROMPT": "0",
        **numbered,
        **more,
    }


class GitFailedError(LocalCloudError):
    """git refused; holds what it said."""


def git(*words: str, at: Path, extra: Mapping[str, str] | None = None, content: str | None = None) -> str:
    """Run git in a directory and return what it wrote.

    Raises:
        GitFailedError: its exit status was not 0, or it took more than ten minutes.
    """
    command: Sequence[str] = ("git", "-C", str(at), *words)
    try:
        done = subprocess.run(
            command,
            env=environment(**(extra or {})),
            input=content or "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise GitFailedError(f"git {words[0]} took more than {TIMEOUT_S:.0f} s and was stopped.") from None
    if done.returncode != 0:
        raise GitFailedError(done.stderr.strip() or f"git {words[0]} failed (exit status {done.returncode}).")
    return done.stdout.strip()
