"""Go through the walls of a workspace, become its account, and be replaced by the program that is to run there.

Started by path with `python -I -S`, as root, with a pipe that carries the specification (JSON) and one that carries back why
it failed; both are closed when the program runs. Nothing of it stands in arguments or files, since the environment may hold
secrets. Standard library only: each start of a service, shell or check passes through here.
"""

import ctypes
import errno
import fcntl
import importlib.util
import json
import os
import resource
import signal
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
CLONE_NEWIPC = 0x08000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 19,
)
PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
PR_SET_DUMPABLE = 4
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
# keyctl(2) has no function in libc: its number by machine.
KEYCTL = {"x86_64": 250, "aarch64": 219}
KEYCTL_JOIN_SESSION_KEYRING = 1

FAILED = 127
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    _checked(
        _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()),
        f"mount {target}",
    )


def _bind(source: str, target: str, flags: int) -> None:
    _mount(source, target, "", MS_BIND)
    _mount("none", target, "", MS_BIND | MS_REMOUNT | flags)


def join_groups(files: list[str]) -> None:
    """Enter the control groups, first of all: whatever follows is already counted."""
    for name in files:
        Path(name).write_text("0")


def enter_network(name: str) -> None:
    """Enter a named network namespace."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(descriptor, CLONE_NEWNET), "setns")
    finally:
        os.close(descriptor)


def make_private_view(view: dict[str, Any]) -> None:
    """A mount namespace of its own: /proc without others' processes, private /tmp and /home, our files over some of /etc.

    Mounts of the VM still arrive (slave), so that a file system can be unmounted there; nothing goes back. What is shown is
    opened first, since it may lie below what is replaced.
    """
    _checked(_libc.unshare(CLONE_NEWNS | CLONE_NEWIPC), "unshare")
    _mount("none", "/", "", MS_REC | MS_SLAVE)
    opened = [
        (os.open(source, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC), target, make, read_only)
        for source, target, make, read_only in view["show"]
    ]
    for target in view["hide"]:
        if Path(target).is_dir():
            _mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=0755")
    for target, mode in view["make"]:
        Path(target).mkdir(exist_ok=True)
        Path(target).chmod(mode)
    for descriptor, target, make, read_only in opened:
        if make:
            Path(target).mkdir(exist_ok=True)
        place = Path(target).resolve()
        if not place.exists() and any(place.is_relative_to(hidden) for hidden in view["hide"]):
            # Such as /etc/resolv.conf, where it is a link to what systemd-resolved keeps in /run.
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        if place.exists():
            _bind(
                f"/proc/self/fd/{descriptor}",
                str(place),
                MS_NOSUID | MS_NODEV | (MS_RDONLY if read_only else 0),
            )
        os.close(descriptor)
    if Path("/dev/shm").is_dir():  # noqa: S108 - it is this directory that is replaced
        _mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=50%,mode=1777")  # noqa: S108
    if Path("/dev/mqueue").is_dir():
        _mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2")


def limit(limits: dict[str, int]) -> None:
    """Set resource limits by their names, never above what we were given ourselves."""
    for name, wanted in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))


def become(account: dict[str, Any]) -> None:
    """Take the account for good: no groups, user or ambient capability of ours remain."""
    os.setgroups(account["groups"])
    os.setresgid(account["gid"], account["gid"], account["gid"])
    _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    os.setresuid(account["uid"], account["uid"], account["uid"])
    if 0 in (*os.getresuid(), *os.getresgid()):
        raise PermissionError("still root after becoming another account")


def leave_keyring() -> None:
    """A session's keyring of its own: the one inherited is the daemon's, and so every other workspace's."""
    number = KEYCTL.get(os.uname().machine)
    if number is not None:
        joined = _libc.syscall(ctypes.c_long(number), ctypes.c_long(KEYCTL_JOIN_SESSION_KEYRING), None)
        # Where the kernel has no keyrings, or a sandbox forbids them, there is none to share.
        if joined < 0 and ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM):
            _checked(-1, "keyctl")


def keep_only(descriptors: list[int]) -> None:
    """Hand on these descriptors and the standard ones, and none else."""
    kept = {0, 1, 2, *descriptors}
    for name in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        try:
            os.set_inheritable(name, name in kept)
        except OSError:
            continue  # the one by which the directory was read


def own_program(file: str) -> Callable[..., int]:
    """The `main` of one of the daemon's own small programs, loaded while the interpreter's files can still be read.

    Customers' accounts need not be able to read or execute anything of ours.
    """
    spec = importlib.util.spec_from_file_location("__entered__", file)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    main: Callable[..., int] = module.main
    return main


def enter(spec: dict[str, Any], complaint: int) -> NoReturn:
    """Do all of it in the one order that works, and become the program."""
    own = own_program(spec["own_program"]) if spec["own_program"] else None
    join_groups(spec["groups_files"])
    if spec["oom_score"] is not None:
        Path("/proc/self/oom_score_adj").write_text(str(spec["oom_score"]))
    if spec["network"]:
        enter_network(spec["network"])
    if spec["view"]:
        make_private_view(spec["view"])
    os.umask(spec["umask"])
    os.setsid()
    if spec["terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    limit(spec["limits"])
    keep_only(spec["descriptors"])
    if spec["account"]:
        become(spec["account"])
    leave_keyring()
    # As the account: a directory that it may not enter is not entered, whoever planted a link in its path.
    os.chdir(spec["directory"])
    if not spec["may_elevate"]:
        _checked(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    if spec["dies_with_parent"]:
        # After the account was taken, which clears it.
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if own is not None:
        os.close(complaint)
        status = own(*spec["argv"])
        sys.stdout.flush()
        os._exit(status)
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execvpe(spec["argv"][0], spec["argv"], spec["environment"])  # noqa: S606 - no shell wanted


def main(specification: int, complaint: int) -> int:
    """Read, enter; only a failure returns, after it was told."""
    with os.fdopen(specification, "rb") as pipe:
        spec = json.load(pipe)
    try:
        enter(spec, complaint)
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else 0
        # The error's own text may repeat a path, never the environment.
        os.write(complaint, json.dumps({"errno": number, "reason": str(error)}).encode())
        return FAILED


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1]), int(sys.argv[2])))
