"""What the part `Services` is made of, on one VM, and services to run on it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID, uuid4

from envforge_daemon.ingress import Ingress
from envforge_daemon.isolation import Workspaces
from envforge_daemon.resources.running import Resources
from envforge_daemon.services.keepers import Keepers
from envforge_daemon.services.runs import Runs
from envforge_daemon.services.runtimes import Runtimes
from envforge_daemon.services.values import Found
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.commands import CommandRan, RunCommand, RuntimeStarted, StartRuntime, StopRuntime
from envforge_protocol.host.resources import Resource
from envforge_protocol.host.runtimes import (
    Check,
    Limits,
    Manifest,
    Reference,
    ScopedCredential,
    Service,
    ServicePort,
    Tree,
)
from tests.daemon.machine import Machine, next_port

Play = Callable[..., None]
CANARY = "canary-9d2e77"
LIMITS = Limits(memory_mib=128, cpu_millis=1000, processes=64)
SERVER = (
    "import http.server, os, sys\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        if self.path == '/crash': os._exit(3)\n"
    "        self.send_response(200 if self.path != '/moved' else 302); self.send_header('Location', 'http://127.0.0.1:1/')\n"
    "        self.end_headers(); self.wfile.write(os.environ.get('TOKEN', '').encode())\n"
    "print('token is', os.environ.get('TOKEN'), flush=True)\n"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()\n"
)


async def ask(credential: ScopedCredential, names: Sequence[str]) -> list[Found]:
    """A store with two parameters."""
    known = {f"{arn}:1": arn for arn in credential.arns}
    return [Found(arn=known[name], version=1, value=CANARY) for name in names if name in known]


def credential(*arns: str) -> ScopedCredential:
    return ScopedCredential.model_validate(
        {
            "arns": arns,
            "access_key_id": "A",
            "secret_access_key": "B",
            "session_token": "C",
            "expires_at": "2030-01-01T00:00:00Z",
        }
    )


class Rig:
    """What the part `Services` is made of, on one VM."""

    def __init__(self, vm: Machine) -> None:
        self.vm = vm
        self.keepers = Keepers(vm.config.run_dir)
        self.keepers.listen()
        self.ingress = Ingress(vm.config, vm.workspaces)
        self.resources = Resources(vm.config, vm.workspaces, self.keepers)
        self.runtimes = Runtimes(vm.config, vm.workspaces, self.keepers, self.resources, self.ingress, ask)
        self.uploaded = bytearray()
        self.runs = Runs(vm.workspaces, self.keepers, self.resources, ask, self._upload)
        self.steps: list[str] = []

    async def _upload(self, _command: UUID, offset: int, piece: bytes) -> None:
        assert offset == len(self.uploaded)
        self.uploaded += piece

    def restart(self) -> None:
        """The program after a restart: nothing is known but what lies on the disk."""
        self.close()
        self.vm.workspaces = Workspaces(self.vm.config, self.vm.walls)
        self.__init__(self.vm)  # type: ignore[misc]  # as a new process would

    def close(self) -> None:
        self.keepers.close()

    async def start(
        self,
        workspace: wire.Workspace,
        *services: Service,
        epoch: int = 1,
        resources: Sequence[Resource] = (),
        trees: Sequence[Tree] = (),
    ) -> RuntimeStarted:
        manifest = Manifest(
            epoch=epoch,
            services=services,
            resources=tuple(resources),
            trees=tuple(trees),
            credentials=(credential("arn:x"),),
        )
        return await self.runtimes.start(
            StartRuntime(workspace=workspace, manifest=manifest), self.steps.append
        )

    async def stop(self, workspace: wire.Workspace, epoch: int = 1) -> int:
        return await self.runtimes.stop(StopRuntime(workspace=workspace, epoch=epoch, grace_s=3))

    async def run(self, workspace: wire.Workspace, command: str, **more: object) -> CommandRan:
        asked = RunCommand.model_validate(
            {
                "workspace": workspace,
                "service": "web",
                "account": 1,
                "command": ("sh", "-c", command),
                "limits": LIMITS,
                "timeout_s": 20,
                **more,
            }
        )
        return await self.runs.run(uuid4(), asked, self.steps.append)


def web(name: str = "web", *, port: int = 3000, account: int = 1, **more: object) -> Service:
    return Service.model_validate(
        {
            "name": name,
            "contract_digest": "0" * 64,
            "account": account,
            "command": ("/usr/bin/python3", "-c", SERVER, str(port)),
            "directory": ".",
            "ports": (ServicePort(name="http", port=port, ingress=next_port()),),
            "environment": {"TOKEN": "${token}"},
            "references": (Reference(input="token", arn="arn:x", version=1),),
            "health": Check(kind="http", port=port, path="/", start_period_s=15),
            "limits": LIMITS,
            **more,
        }
    )


async def get(port: int, path: str = "/") -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    return answer


def arguments_of_all() -> str:
    """What every process of this machine was started with."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.append((entry / "cmdline").read_text(errors="replace"))
    return "\n".join(found)


def ingress_of(started: RuntimeStarted) -> int:
    return started.readiness.services[0].ingress["http"]


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is another process
            await asyncio.sleep(0.02)
