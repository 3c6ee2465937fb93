"""A hostile service and a hostile person in the shell, who try what THREATS names (H1, H2, H3, H5, H7)."""

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from envforge_daemon.trees import observe
from tests.daemon.machine import Machine, left_running, next_port, sh
from tests.daemon.shells import Shelled
from tests.daemon.test_walls import listening, own_address

Play = Callable[..., None]

# Tries each (family, address, port) and prints those that answered, refusals included: those come from behind the wall.
DIAL = """
import errno, json, socket, sys
for family, address, port in json.loads(sys.argv[1]):
    try:
        with socket.socket(getattr(socket, family), socket.SOCK_STREAM) as one:
            one.settimeout(2)
            one.connect("\\0" + address if family == "AF_UNIX" else (address, port))
            print("reached", address)
    except ConnectionRefusedError:
        # A name that is not there is refused by whoever asks; an address by whoever has it.
        if family != "AF_UNIX": print("refused", address)
    except OSError:
        pass
"""

# What kernel keyring a process has, and what it can do to others: prints only what succeeded.
SIGNALS = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
for pid in map(int, sys.argv[1:]):
    for what in (0, signal.SIGTERM, signal.SIGSTOP):
        try:
            os.kill(pid, what); print("signalled", pid)
        except OSError: pass
    if libc.ptrace(16, pid, None, None) == 0: print("traced", pid)
    for name in ("environ", "mem", "maps", "fd", "root", "cwd"):
        try:
            os.listdir(f"/proc/{pid}/{name}") if name in ("fd", "root", "cwd") else open(f"/proc/{pid}/{name}").read(1)
            print("read", name)
        except OSError: pass
    try:
        os.pidfd_open(pid); print("opened", pid)
    except OSError: pass
"""


@contextlib.contextmanager
def planted(path: Path, kind: int) -> Iterator[Path]:
    """A socket that answers anybody, as a program of the VM makes in /run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(str(path))
        path.chmod(0o666)
        if kind == socket.SOCK_STREAM:
            server.listen()
        try:
            yield path
        finally:
            path.unlink()


def test_h1_sockets_in_run_are_not_there(behind_walls: Play) -> None:
    """H1: journal, varlink, systemd's own, D-Bus, docker, snapd: none is to be found, and nothing is to be written in their place."""
    known = (
        "systemd/journal/stdout",
        "systemd/userdb/io.systemd.Multiplexer",
        "systemd/private",
        "docker.sock",
        "snapd.socket",
        "dbus/system_bus_socket",
    )
    with contextlib.ExitStack() as stack:
        for name in known:
            path = Path("/run") / name
            # One that this machine has stays as it is.
            if not path.exists():
                stack.enter_context(planted(path, socket.SOCK_STREAM))

        async def scene(vm: Machine) -> None:
            one = await vm.workspace()
            for account in (0, 1):
                ran = await sh(one, "find /run /var/run/ -mindepth 1; touch /run/x", account=account)
                assert ran.output.splitlines()[0] == b"/run/lock", ran
                assert set(ran.output.splitlines()[:-1]) <= {b"/run/lock", b"/var/run/lock"}, ran
                assert b"Permission denied" in ran.output
                ran = await sh(
                    one,
                    "find / -xdev -type s 2>/dev/null; logger -- hello; cat /etc/resolv.conf",
                    account=account,
                )
                assert b".sock" not in ran.output
                assert b"nameserver" in ran.output

        behind_walls(scene)


def test_h1_every_way_to_say_an_address_is_walled(behind_walls: Play) -> None:
    """H1, H3: metadata in each notation, the VM by its addresses, a neighbour's port and its names in the abstract space."""
    address = own_address()
    with (
        listening(address) as control,
        listening("127.0.0.1") as local,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        abstract.bind("\0envforge-hostile")
        abstract.listen()

        async def scene(vm: Machine) -> None:
            one, two = await vm.workspace("one"), await vm.workspace("two")
            served = await left_running(
                two, "exec python3 -m http.server 8080 --bind 0.0.0.0", account=1, group="service-web"
            )
            await asyncio.sleep(0.5)
            gateway = two.address - 1 if two.address else None
            targets = [
                *(
                    ("AF_INET", a, 80)
                    for a in (
                        "169.254.169.254",
                        "2852039166",
                        "0xa9fea9fe",
                        "0251.0376.0251.0376",
                        "169.254.43518",
                    )
                ),
                *(
                    ("AF_INET6", a, 80)
                    for a in (
                        "fd00:ec2::254",
                        "::ffff:169.254.169.254",
                        "64:ff9b::a9fe:a9fe",
                        "::169.254.169.254",
                    )
                ),
                *(("AF_INET", a, control) for a in (address, str(gateway))),
                *(("AF_INET6", f"::ffff:{a}", control) for a in (address,)),
                ("AF_INET", str(two.address), 8080),
                ("AF_INET", str(gateway), local),
                ("AF_UNIX", "envforge-hostile", 0),
            ]
            for account in (0, 1):
                ran = await one.run(
                    ("python3", "-c", DIAL, json.dumps(targets)), account=account, timeout_s=60
                )
                # Nobody else's loopback: what is refused there was refused by its own namespace.
                assert ran.output == b"", ran
            mine = [
                ("AF_INET", "127.0.0.1", 8080),
                ("AF_INET", "127.0.0.1", local),
                ("AF_INET6", "::1", local),
            ]
            ran = await one.run(("python3", "-c", DIAL, json.dumps(mine)), account=1)
            assert b"reached" not in ran.output
            assert served.process.lives()

        behind_walls(scene, control_plane=f"http://{address}:{control}")


def test_h3_nobody_elses_process_is_read_traced_or_signalled(behind_walls: Play) -> None:
    """H3: the daemon, a neighbour, another service of the same workspace: by number, and whatever number one guesses."""

    async def scene(vm: Machine) -> None:
        one, two = await vm.workspace("one"), await vm.workspace("two")
        victims = [
            await left_running(two, "sleep 60", account=1, group="service-a"),
            await left_running(one, "sleep 60", account=2, group="service-b"),
        ]
        pids = [os.getpid(), *(victim.process.pid for victim in victims)]
        for account in (0, 1):
            ran = await one.run(("python3", "-c", SIGNALS, *map(str, pids)), account=account)
            for word in (b"signalled", b"traced", b"read"):
                assert word not in ran.output, ran
        assert all(victim.process.lives() for victim in victims)

    behind_walls(scene)


def test_h3_nothing_is_shared_by_way_of_the_kernel(behind_walls: Play) -> None:
    """H3: shared memory, message queues, semaphores, keyrings and locks of one account are not another's."""
    key = ctypes.CDLL(None).syscall(250, 1, b"envforge-test") if os.uname().machine == "x86_64" else -1

    async def scene(vm: Machine) -> None:
        one, two = await vm.workspace("one"), await vm.workspace("two")
        leave = (
            "ipcmk -M 4096 -p 0666 >/dev/null; ipcmk -Q -p 0666 >/dev/null; echo x > /dev/shm/mine; chmod 666 /dev/shm/mine;"
            "touch /dev/mqueue/mine; echo x > /tmp/mine; echo x > /var/tmp/mine; echo x > /run/lock/mine; sleep 60"
        )
        await left_running(one, leave, account=1, group="service-a")
        await asyncio.sleep(1)
        look = "ipcs -mq | grep -c 666; ls /dev/shm /dev/mqueue /tmp /var/tmp /run/lock | grep mine; grep -c . /proc/keys"
        for other, account in ((two, 1), (one, 2)):
            ran = await sh(other, look, account=account)
            assert b"mine" not in ran.output, ran
            assert ran.output.split()[0] == b"0", ran
            keys = await sh(other, "id -u; cat /proc/keys", account=account)
            assert b"envforge-test" not in keys.output, keys
            own, *rings = keys.output.splitlines()
            # Its own alone; one of a program that just ended may still be there.
            assert {ring.split()[5] for ring in rings if b"_ses" in ring} <= {own}, keys

    behind_walls(scene)
    assert key != 0


def test_h2_programs_with_rights_and_devices_give_none(behind_walls: Play) -> None:
    """H2: what is set-uid in one's own files stays what it is; no device is made; no namespace gives mounting."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        script = (
            "cp /bin/id ./id && chmod 6755 ./id && ./id -u; mknod ./disk b 8 0 2>&1; mknod /tmp/disk c 1 1 2>&1;"
            "unshare -m true 2>&1; mount -t tmpfs none /tmp 2>&1; chroot / true 2>&1; su -c id 2>&1; nsenter -t 1 -m true 2>&1;"
            "cat /proc/1/environ /proc/sysrq-trigger /dev/mem /dev/kmsg 2>&1; dmesg 2>&1 | head -1; "
            "echo 1 > /proc/sys/kernel/core_pattern; grep -E '^(CapEff|CapPrm|CapInh|CapAmb)' /proc/self/status"
        )
        for account in (0, 1):
            (one.directory / "id").unlink(missing_ok=True)
            ran = await sh(one, script, account=account)
            assert str(one.uid + account).encode() in ran.output.split()[0:1], ran
            assert b"uid=0" not in ran.output, ran
            assert not (one.directory / "disk").exists()
            assert ran.output.count(b"0000000000000000") == 4, ran

    behind_walls(scene)


# What makes git run a program, each set to one that tells as whom it ran.
TRICKS = (
    *("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "diff.external", "credential.helper"),
    *("filter.evil.clean", "filter.evil.smudge", "gpg.program", "core.alternateRefsCommand"),
    *("uploadpack.packObjectsHook", "diff.evil.textconv", "merge.evil.driver", "core.gitProxy"),
)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_h2_what_a_repository_says_is_done_as_its_owner_or_not_at_all(behind_walls: Play) -> None:
    """H2: git in a tree is run as its account, without credential, rights or network of the VM, whatever its configuration runs."""

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        ran = await sh(
            one,
            "mkdir app && cd app && git init -q . && git config user.email a@b.c && git config user.name a && echo x > a.txt"
            " && echo '*.txt filter=evil' > .gitattributes && git add . && git commit -qm one && mkdir hooks"
            " && printf '#!/bin/sh\\nid -u > /tmp/ran; env >> /tmp/ran; cat /proc/self/status >> /tmp/ran; cat\\n' > run && chmod +x run"
            " && for h in post-index-change reference-transaction post-checkout; do cp run hooks/$h; done",
            account=0,
        )
        assert ran.exit_status == 0, ran
        settings = "; ".join(f"git config {name} /home/workspace/app/run" for name in TRICKS)
        ran = await sh(
            one,
            f"cd app; {settings}; git config core.hooksPath hooks; git config include.path /etc/shadow;"
            "git config includeIf.gitdir:/.path ../../../../../etc/passwd; sleep 1; echo yy > a.txt;"
            "mkdir -p .git/objects/info; echo /root/.git/objects > .git/objects/info/alternates;"
            "mkfifo fifo; ln -s /etc out; ln -s /dev/zero zero; rm -f /tmp/ran",
            account=0,
        )
        assert b"error" not in ran.output, ran
        found = await observe(one, "app")
        assert found.contract is None
        ran = await sh(one, "cat /tmp/ran", account=0)
        # A filter of the tree may run, with nothing that its owner's shell has not got; nothing else does.
        said = ran.output.decode()
        assert f"\n{one.uid}\n" in f"\n{said}" or "No such file" in said, said
        assert "Authorization" not in said
        assert said.count("CapEff:\t0000000000000000") == said.count("CapEff") == said.count("NoNewPrivs:\t1")

    behind_walls(scene)


def test_h2_a_race_of_links_leads_root_nowhere(behind_walls: Play, place: Path) -> None:
    """H2: a directory that becomes a link and back, as fast as it can, while the daemon writes and reads below it."""
    outside = place / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    (outside / "secret").write_text("the VM's")
    (outside / "secret").chmod(0o600)

    async def scene(vm: Machine) -> None:
        one = await vm.workspace()
        race = (
            f"mkdir real; echo own > real/secret; ln -s {outside} link; while true; do mv -T real x 2>/dev/null; mv -T link real;"
            "mv -T real link; mv -T x real; done"
        )
        racer = await left_running(one, race, account=0, group="service-race")
        for number in range(40):
            with contextlib.suppress(Exception):
                assert await one.read_file("real/secret", limit=100) in (b"own\n", None)
            with contextlib.suppress(Exception):
                await one.write_file(f"real/w{number}", b"x")
        assert racer.process.lives()
        await one.kill_all("service-race")
        assert [file.name for file in outside.iterdir()] == ["secret"]

    behind_walls(scene)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="openssh-client is not installed")
def test_h7_forwarding_leads_to_the_workspaces_loopback_alone(behind_walls: Play) -> None:
    """H7, H1: not to metadata, the VM, its names or a neighbour, and nothing is listened on or handed on for anybody."""
    address = own_address()
    with listening(address) as server, listening("127.0.0.1") as local:

        async def scene(vm: Machine) -> None:
            shell = await Shelled.start(vm)
            try:
                one = await shell.prepare()
                key = shell.key(one, forwarding=True)
                for target in (
                    "169.254.169.254:80",
                    "[fd00:ec2::254]:80",
                    "[::ffff:169.254.169.254]:80",
                    f"{address}:{server}",
                    f"127.0.0.2:{local}",
                    f"127.0.0.1:{local}",
                    f"0.0.0.0:{local}",
                    f"localhost.:{local}",
                ):
                    ran = await shell.run(one, key, "-W", target, "")
                    assert ran[0] != 0 or ran[1] == "", (target, ran)
                    assert "reached" not in ran[1]
                asked = (
                    "-o",
                    "ExitOnForwardFailure=yes",
                    "-R",
                    f"{next_port()}:127.0.0.1:{local}",
                    "echo in",
                )
                assert (await shell.run(one, key, *asked))[0] != 0
                ran = await shell.run(one, key, "-A", "echo agent=$SSH_AUTH_SOCK. display=$DISPLAY.")
                assert ran == (0, "agent=. display=.\n")
            finally:
                await shell.stop()

        behind_walls(scene, ssh_port=next_port())
