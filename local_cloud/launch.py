"""Become another program that is told to stop when its parent dies.

Run as a script: launch.py PARENT_PID SIGNAL UID GID PROGRAM ARGUMENTS. UID and GID are "-" to stay as we are.
The kernel forgets the death signal when credentials change, so those change first (prctl(2), PR_SET_PDEATHSIG).
"""

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, death_signal: int, uid: str, gid: str, command: list[str]) -> None:
    """Drop privileges if asked, tie this process to its parent, and become the command."""
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(AttributeError):  # not Linux: the next start finds what was left running
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")
    os.execvp(command[0], command)  # noqa: S606 - the caller's argument list, no shell


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
