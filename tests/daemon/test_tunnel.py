"""The way to a workspace's files on EFS, as far as it can be gone without EFS: stunnel's own reading of its configuration, a TLS
server on loopback that must prove its name, and what is mounted. Nothing here speaks NFS.
"""

import asyncio
import contextlib
import datetime as dt
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from envforge_daemon import storage, tunnel
from envforge_daemon.config import Config
from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import programs
from envforge_protocol.host.workspaces import Storage, Workspace
from tests.daemon.machine import Machine, sh

STUNNEL = shutil.which("stunnel4", path="/usr/bin:/usr/sbin:/usr/local/bin")
needs_stunnel = pytest.mark.skipif(STUNNEL is None, reason="stunnel4 is not installed")
FILES = "fs-0123456789abcdef0"


def config(root: Path, region: str = "eu-central-1") -> Config:
    return Config.model_validate(
        {
            "control_plane": "http://127.0.0.1:9",
            "host_id": str(uuid4()),
            "generation": 1,
            "role": "runtime",
            "region": region,
            "image": "1",
            "listen_address": "127.0.0.1",
            "state_dir": str(root / "state"),
            "run_dir": str(root / "run"),
            "files_root": str(root / "files"),
        }
    )


def on_efs(file_system: str = FILES) -> Workspace:
    return Workspace(
        id=uuid4(),
        slug="main",
        user="w1",
        uid=200_000,
        storage=Storage(kind="file_system", file_system=file_system),
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def certificate(root: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself for a name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "files")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file, key_file = root / f"{name}.pem", root / f"{name}.key"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file, key_file


@contextlib.contextmanager
def tls_server(file: Path, key: Path) -> Iterator[int]:
    """Says "files" to whoever asks for one word in TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError, OSError):
                    taken, _ = server.accept()
                    taken.settimeout(5)
                    with taken, context.wrap_socket(taken, server_side=True) as spoken:
                        spoken.sendall(spoken.recv(16).replace(b"which", b"files"))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            stop.set()
            thread.join()


@contextlib.contextmanager
def running(root: Path, written: str, port: int) -> Iterator[None]:
    file = root / "files.conf"
    file.write_text(written)
    assert STUNNEL is not None
    with subprocess.Popen([STUNNEL, str(file)], stderr=subprocess.PIPE) as process:
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                assert process.poll() is None, process.stderr and process.stderr.read()
                threading.Event().wait(0.05)
            yield
        finally:
            process.terminate()


def ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as asked:
        asked.sendall(b"which")
        with contextlib.suppress(ConnectionError):
            return asked.recv(16)
        return b""


@needs_stunnel
def test_stunnel_takes_the_configuration_and_carries_to_who_proves_the_name(place: Path) -> None:
    file, key = certificate(place, "localhost")
    port = free_port()
    with tls_server(file, key) as behind:
        written = tunnel.configuration("localhost", port=port, to_port=behind, authorities=file)
        with running(place, written, port):
            assert ask(port) == b"files"


@needs_stunnel
@pytest.mark.parametrize("wrong", ["name", "authority"])
def test_stunnel_carries_nothing_to_who_does_not_prove_the_name(place: Path, wrong: str) -> None:
    """A certificate for another name, or one that no authority of ours signed."""
    name = "elsewhere" if wrong == "name" else "localhost"
    file, key = certificate(place, name)
    other, _ = certificate(place, "other")
    port = free_port()
    with tls_server(file, key) as behind:
        trusted = file if wrong == "name" else other
        written = tunnel.configuration("localhost", port=port, to_port=behind, authorities=trusted)
        with running(place, written, port):
            assert ask(port) == b""


def test_the_tunnel_leads_to_the_file_system_in_its_own_network(place: Path) -> None:
    assert tunnel.server(config(place), FILES) == f"{FILES}.efs.eu-central-1.amazonaws.com"
    assert tunnel.server(config(place, "cn-north-1"), FILES) == f"{FILES}.efs.cn-north-1.amazonaws.com.cn"
    lines = tunnel.configuration(tunnel.server(config(place), FILES), port=tunnel.PORT).splitlines()
    assert f"accept = 127.0.0.1:{tunnel.PORT}" in lines
    assert f"connect = {FILES}.efs.eu-central-1.amazonaws.com:2049" in lines
    assert not 20000 <= tunnel.PORT <= 29999


def test_it_is_mounted_through_the_tunnel_without_devices_and_set_ids(place: Path) -> None:
    *command, options, source, at = storage.mount_command(tunnel.PORT, place)
    assert command == ["mount", "-t", "nfs4", "-o"]
    assert (source, at) == ("127.0.0.1:/", str(place))
    assert {"nfsvers=4.1", f"port={tunnel.PORT}", "hard", "nosuid", "nodev", "noresvport"} <= set(
        options.split(",")
    )


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """A machine on which commands are told and not run: NFS cannot be mounted here. What is mounted is remembered."""
    told: list[tuple[str, ...]] = []
    mounted: set[Path] = set()

    async def run(*argv: str, **_: object) -> str:
        told.append(argv)
        if argv[0] == "mount":
            mounted.add(Path(argv[-1]))
        if argv[0] == "umount":
            mounted.remove(Path(argv[-1]))
        return ""

    async def listens() -> bool:
        return True

    monkeypatch.setattr(storage, "run", run)
    monkeypatch.setattr(tunnel, "run", run)
    monkeypatch.setattr(tunnel, "_listens", listens)
    monkeypatch.setattr(Path, "is_mount", lambda self: self in mounted)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/sbin/{name}")
    return told


def test_one_file_system_is_mounted_once_and_each_workspace_sees_its_own_directory(
    place: Path, machine: list[tuple[str, ...]]
) -> None:
    vm, one, two = config(place), on_efs(), on_efs()
    vm.run_dir.mkdir()
    whole = storage.whole(vm, FILES)

    async def scene() -> None:
        await storage.attach(vm, one, make=False)
        for workspace in (one, two, one):
            await storage.attach(vm, workspace)
        await storage.detach(vm, one)
        assert (whole / str(one.id)).is_dir()
        await storage.detach(vm, one, for_good=True)
        (whole / str(two.id) / "kept").write_text("by another account")
        await storage.detach(vm, two, for_good=True)

    asyncio.run(scene())
    assert machine == [
        ("systemctl", "restart", "envforge-files.service"),
        storage.mount_command(tunnel.PORT, whole),
        ("mount", "--bind", str(whole / str(one.id)), str(vm.files_root / str(one.id))),
        ("mount", "--bind", str(whole / str(two.id)), str(vm.files_root / str(two.id))),
        ("umount", str(vm.files_root / str(one.id))),
        ("umount", str(vm.files_root / str(two.id))),
    ]
    # What was deleted goes as a whole; what was not stays to be seen.
    assert [found.name for found in whole.iterdir()] == [str(two.id)]
    assert whole.parent.stat().st_mode & 0o777 == 0o700
    assert (whole / str(two.id)).stat().st_mode & 0o777 == 0o700
    assert (vm.run_dir / "files.conf").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "name", ["", "fs-1", "fs-0123456789abcdef0.evil.example", "127.0.0.1", "fs-0123456789;x"]
)
def test_h2_no_other_server_can_be_named(place: Path, machine: list[tuple[str, ...]], name: str) -> None:
    """H2: what goes into a configuration and a command line is a file system's id and nothing else."""
    with pytest.raises(IsolationError, match="no name"):
        asyncio.run(storage.attach(config(place), on_efs(name)))
    assert machine == []


def test_a_vm_without_the_programs_says_which(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(IsolationError, match="nfs-common is not installed"):
        asyncio.run(storage.attach(config(place), on_efs()))


def test_a_workspace_sees_its_own_directory_of_what_is_mounted(
    behind_walls: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """H3: real binds, accounts and views; the file system itself is one of memory, since NFS cannot be mounted here."""
    really = programs.run

    async def run(*argv: str, **more: Any) -> str:
        if argv[:3] == ("mount", "-t", "nfs4"):
            argv = ("mount", "-t", "tmpfs", "-o", "nosuid,nodev,mode=0755", "files", argv[-1])
        return "" if argv[0] == "systemctl" else await really(*argv, **more)

    async def listens() -> bool:
        return True

    monkeypatch.setattr(storage, "run", run)
    monkeypatch.setattr(tunnel, "run", run)
    monkeypatch.setattr(tunnel, "_listens", listens)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/sbin/{name}")

    async def scene(vm: Machine) -> None:
        vm.config.run_dir.mkdir(exist_ok=True)
        shared = Storage(kind="file_system", file_system=FILES)
        whole = storage.whole(vm.config, FILES)
        wires = [vm.wire(name).model_copy(update={"storage": shared}) for name in ("one", "two")]
        try:
            one, two = [await vm.workspaces.ensure(wire) for wire in wires]
            vm.made += [one, two]
            assert (await sh(one, "echo mine > /home/workspace/a", account=0)).exit_status == 0
            assert (await sh(two, "ls /home/workspace", account=0)).output == b""
            kept = whole / str(one.id) / "a"
            assert (kept.read_text(), kept.stat().st_uid) == ("mine\n", one.uid)
            assert (await sh(two, f"ls {whole} {kept}", account=0)).exit_status != 0
            for wire in wires:
                await vm.workspaces.remove(wire, delete_files=True)
            assert list(whole.iterdir()) == []
        finally:
            for place in (*(vm.config.files_root / str(wire.id) for wire in wires), whole):
                await really("umount", "--lazy", str(place), may_fail=True)

    behind_walls(scene)
