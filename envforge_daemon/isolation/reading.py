"""Reading a workspace's file as an account of it (THREATS H2), in a thread: starting a process for it would take thirty times as long.

The thread takes the account's access to files alone (setfsuid(2)), with its group and no other, and so loses root's right to pass by
permissions. Who it is to signals and tracing stays root, so that the account can neither end nor look into the program.
"""

import ctypes
import errno
import os
import stat
from pathlib import Path

from envforge_daemon.isolation.accounts import Account
from envforge_daemon.isolation.directories import OPEN, READ
from envforge_daemon.isolation.files import parent

# glibc's function changes every thread of a process. The call's number by machine.
SETGROUPS = {"x86_64": 116, "aarch64": 159}
NOBODY_IS_THIS = ctypes.c_uint32(-1)
_libc = ctypes.CDLL(None, use_errno=True)


class TooLong(OSError):
    """The file is longer than was asked for."""


def read_as(account: Account | None, directory: Path, path: str, *, limit: int) -> bytes | None:
    """A regular file below a directory whose content others may write; None if there is none. The calling thread is used up by it.

    No link is followed, and no pipe or device planted there is waited for.

    Args:
        account: whose access it is; None where this program runs as an ordinary user.

    Raises:
        TooLong: it has more than `limit` bytes.
        OSError: it is no regular file, a part of its path is a link, or the account may not read it.
    """
    # What lies above belongs to root, and an account need not be able to come by there.
    top = os.open(directory, OPEN)
    try:
        if account is not None:
            _take_access_of(account)
        try:
            at, name = parent(path, top=top)
        except FileNotFoundError:
            return None
    finally:
        os.close(top)
    try:
        file = os.open(name, READ, dir_fd=at)
    except FileNotFoundError:
        return None
    finally:
        os.close(at)
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise TooLong(errno.EFBIG, os.strerror(errno.EFBIG))
    return content


def _take_access_of(account: Account) -> None:
    number = SETGROUPS.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "setgroups(2) of this machine is not known")
    if _libc.syscall(ctypes.c_long(number), ctypes.c_size_t(0), None) != 0:
        raise OSError(ctypes.get_errno(), "setgroups")
    # In this order: without root's user the group cannot be changed any more. Neither call says whether it failed.
    _libc.setfsgid(ctypes.c_uint32(account.gid))
    _libc.setfsuid(ctypes.c_uint32(account.uid))
    if (_libc.setfsgid(NOBODY_IS_THIS), _libc.setfsuid(NOBODY_IS_THIS)) != (account.gid, account.uid):
        raise PermissionError(errno.EPERM, "the account's access to files was not taken")
