"""The control plane as VMs meet it: a real server on loopback, in this process or in processes of its own."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import uvicorn
from django.conf import settings
from django.test import override_settings

from hosts import hooks, queue
from hosts.hooks import Finished
from tests.aws.conftest import ACCOUNT, new_server
from tests.product.host_api.machines import Daemon, new_host
from tests.product.host_api.newcomers import ROLE, Cloud, Newcomer
from tests.product.world import World


@pytest.fixture(scope="session")
def address(database: str) -> Iterator[str]:
    """The address of the whole application, served by uvicorn in a thread of this process."""
    server = uvicorn.Server(
        uvicorn.Config(
            "envforge.asgi:application",
            port=0,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
def daemon(world: World, address: str) -> Daemon:
    """A daemon on a VM of Acme."""
    return Daemon(address, new_host(world.acme))


@pytest.fixture
def stranger(world: World, address: str) -> Daemon:
    """A daemon on a VM of Mallet."""
    return Daemon(address, new_host(world.mallet))


@pytest.fixture
def web_process(database: str) -> Iterator[Callable[..., tuple[str, subprocess.Popen[bytes]]]]:
    """Starts web processes that can be killed; they use this test's database, and write to `log` where one is given."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        log: Path | None = None, *, for_vms: bool = False, **more: str
    ) -> tuple[str, subprocess.Popen[bytes]]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{settings.DATABASES['default']['NAME']}"
        here = f"http://127.0.0.1:{port}"
        # Real VMs call the host API by the web process' address, played ones by its usual name.
        named = {"ENVFORGE_HOST_API_URL": here} if for_vms else {}
        with ExitStack() as opened:
            output = opened.enter_context(log.open("wb")) if log else None
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "uvicorn",
                    "envforge.asgi:application",
                    "--port",
                    str(port),
                    "--no-access-log",
                ],
                env={**os.environ, "DATABASE_URL": url, **named, **more},
                stdout=output,
                stderr=output,
            )
        started.append(process)
        deadline = time.monotonic() + 30
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return here, process
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)


@pytest.fixture
def heard() -> Iterator[list[Finished]]:
    """How commands ended, as an app above hears it."""
    kept = {kind: list(receivers) for kind, receivers in hooks._results.items()}
    ended: list[Finished] = []
    for kind in queue.LANES:
        hooks.on_result(kind, ended.append)
    yield ended
    hooks._results.clear()
    hooks._results.update(kept)


@pytest.fixture
def filled() -> Iterator[None]:
    """Gives the registered fillers back after the test."""
    kept = {kind: list(fillers) for kind, fillers in hooks._fillers.items()}
    yield
    hooks._fillers.clear()
    hooks._fillers.update(kept)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    server = new_server(tmp_path_factory.mktemp("aws"))
    server.start()
    cloud = Cloud(server)
    with override_settings(STS_URL=server.url, AWS_ACCOUNT_ID=ACCOUNT, HOST_ROLE_ID=cloud.role_ids[ROLE]):
        yield cloud
    assert server.end() == 0


@pytest.fixture
def newcomer(address: str, cloud: Cloud, world: World) -> Newcomer:
    return Newcomer(address, cloud, new_host(world.acme))
