"""A VM with a shell half, OpenSSH's client before it, and an organization's certificate authority."""

import asyncio
import os
import pty
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificateBuilder, SSHCertificateType

from envforge_daemon.control_plane import ControlPlane
from envforge_daemon.http import Client
from envforge_daemon.identity import Boot
from envforge_daemon.ingress import Ingress
from envforge_daemon.parts import Context, Task
from envforge_daemon.reports import Outbox
from envforge_daemon.shell.part import Shells
from envforge_daemon.state import State
from envforge_protocol.host import commands as wire
from envforge_protocol.host.commands import Payload
from envforge_protocol.host.reports import Body, Report, ShellDisconnected
from envforge_protocol.host.runtimes import Limits
from envforge_protocol.host.workspaces import Repository, Workspace
from tests.daemon.machine import Machine

LIMITS = Limits(memory_mib=512, cpu_millis=2000, processes=200)


class Authority:
    """An organization's CA."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self.line = _public(self._key)

    def certificate(
        self,
        directory: Path,
        principals: list[str],
        *,
        serial: int = 7,
        key_id: str = "bob",
        begins_in_s: int = -60,
        good_for_s: int = 300,
        forwarding: bool = False,
        kind: SSHCertificateType = SSHCertificateType.USER,
        options: dict[bytes, bytes] | None = None,
    ) -> Path:
        """A key pair's file with the certificate beside it."""
        own = Ed25519PrivateKey.generate()
        now = datetime.now(UTC).timestamp()
        builder = (
            SSHCertificateBuilder()
            .public_key(own.public_key())
            .serial(serial)
            .type(kind)
            .key_id(key_id.encode())
            .valid_after(int(now) + begins_in_s)
            .valid_before(int(now) + good_for_s)
            .add_extension(b"permit-pty", b"")
        )
        if principals:
            builder = builder.valid_principals([principal.encode() for principal in principals])
        else:
            builder = builder.valid_for_all_principals()  # type: ignore[no-untyped-call]
        if forwarding:
            builder = builder.add_extension(b"permit-port-forwarding", b"")
        for name, value in (options or {}).items():
            builder = builder.add_critical_option(name, value)
        file = directory / f"key-{uuid4().hex[:8]}"
        file.touch(mode=0o600)
        file.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        certificate = builder.sign(self._key).public_bytes()
        file.with_name(file.name + "-cert.pub").write_bytes(certificate)
        file.with_name(file.name + ".pub").write_text(_public(own))
        return file


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


@dataclass
class Shelled:
    """One run of the program's shell half on a VM."""

    vm: Machine
    part: Shells
    context: Context
    directory: Path
    authority: Authority
    running: "asyncio.Task[None]"
    host_key: str = ""

    @classmethod
    async def start(cls, vm: Machine, *, authority: Authority | None = None) -> "Shelled":
        config, state = vm.config, State(vm.config.state_dir)
        client = Client()
        context = Context(
            config,
            state,
            vm.workspaces,
            Ingress(config, vm.workspaces),
            Outbox(state.reports),
            ControlPlane(config, client, Boot(config.run_dir)),
            client,
        )
        part = Shells(context)
        directory = config.state_dir.parent / "client"
        directory.mkdir(exist_ok=True, mode=0o700)
        await part.adopt()
        running = asyncio.create_task(part.run())
        return cls(vm, part, context, directory, authority or Authority(), running)

    async def stop(self) -> None:
        self.running.cancel()
        await self.part.close()

    async def do(self, payload: Payload) -> Any:
        """Do a command, as the desk would."""
        doing = next(found for found in self.part.commands() if found.kind == payload.kind)
        return await doing.handler(Task(uuid4(), 1), payload)

    async def prepare(
        self, name: str = "main", *repositories: Repository, like: Workspace | None = None
    ) -> Workspace:
        workspace = like or self.vm.wire(name)
        prepared = await self.do(
            wire.PrepareShell(
                workspace=workspace,
                repositories=repositories,
                certificate_authority=self.authority.line,
                shell_limits=LIMITS,
            )
        )
        made = self.vm.workspaces.get(workspace.id)
        assert made is not None
        if made not in self.vm.made:
            self.vm.made.append(made)
        self.host_key = prepared.host_key
        return workspace

    def reports(self) -> list[Body]:
        documents = self.context.state.reports
        return [Report.model_validate(documents.read(name)).body for name in documents.names()]

    async def causes(self, count: int) -> list[str]:
        """Why connections ended, once so many did."""
        found: list[str] = []
        for _ in range(250):
            found = [body.cause for body in self.reports() if isinstance(body, ShellDisconnected)]
            if len(found) >= count:
                break
            await asyncio.sleep(0.02)
        return found

    def ssh(
        self, workspace: Workspace, key: Path, *more: str, login: str = "", certificate: bool = True
    ) -> list[str]:
        """The command line of OpenSSH's client, which knows this VM's host key and no other."""
        hosts = self.directory / "known_hosts"
        hosts.write_text(f"[127.0.0.1]:{self.part.server.port} {self.host_key}\n")
        return [
            *(
                "ssh",
                "-F",
                "none",
                "-p",
                str(self.part.server.port),
                "-i",
                str(key),
                "-o",
                "IdentitiesOnly=yes",
            ),
            *("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={hosts}"),
            *("-o", "LogLevel=ERROR", "-o", "ExitOnForwardFailure=yes", "-o", "IdentityAgent=none"),
            *(("-o", f"CertificateFile={key}-cert.pub") if certificate else ("-o", "CertificateFile=none")),
            *more[:-1],
            f"{login or workspace.user}@127.0.0.1",
            *more[-1:],
        ]

    async def run(
        self, workspace: Workspace, key: Path, *more: str, given: bytes = b"", **how: Any
    ) -> tuple[int, str]:
        """Run OpenSSH's client to its end: exit status, and what it and the program said."""
        child = await asyncio.create_subprocess_exec(
            *self.ssh(workspace, key, *more, **how),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(child.communicate(given), 30)
        return child.returncode or 0, out.decode(errors="replace")

    def key(self, workspace: Workspace, **more: Any) -> Path:
        """A good certificate for a workspace."""
        return self.authority.certificate(self.directory, [str(workspace.id)], **more)


class Terminal:
    """OpenSSH's client on a terminal of ours."""

    def __init__(self, argv: list[str]) -> None:
        self.master, slave = pty.openpty()
        self.child = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={"TERM": "xterm", "PATH": os.environ["PATH"]},
        )
        os.close(slave)
        os.set_blocking(self.master, False)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    async def sees(self, text: str, *, within_s: float = 15) -> None:
        """Wait until it was shown."""
        end = asyncio.get_running_loop().time() + within_s
        while text not in self.seen:
            try:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
            except BlockingIOError:
                pass
            except OSError:
                break
            if asyncio.get_running_loop().time() > end:
                break
            await asyncio.sleep(0.02)
        assert text in self.seen, self.seen

    async def ended(self, *, within_s: float = 10) -> int:
        return await asyncio.wait_for(asyncio.to_thread(self.child.wait), within_s)

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        os.close(self.master)


def in_s(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def somebody() -> UUID:
    return uuid4()
