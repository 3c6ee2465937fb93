"""JupyterHub with its default proxy and `SimpleLocalProcessSpawner`, as the peer of a wake (`local_cloud.commands.peers`)."""

import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

USER = "bench"
UP_WITHIN_S = 60.0
CONFIG = """
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_port = {hub}
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.log_level = "WARN"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {home!r}
c.Spawner.cmd = {command!r}
c.Spawner.http_timeout = 30
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.JupyterHub.services = [{{"name": "bench", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "bench", "services": ["bench"], "scopes": ["admin:users", "admin:servers"]}}
]
"""


class Hub:
    """A running hub. Requests go to the hub itself, past its proxy, over a connection each."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"token {self._token}", "Content-Type": "application/json"}
        self._connection.close()
        self._connection.request(method, f"/hub/api{path}", headers=headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def spawn(self) -> float:
        """Seconds from the request until the hub says that the server is up and led to (201)."""
        began = time.perf_counter()
        status, said = self.ask("POST", f"/users/{USER}/server")
        if status != 201:
            raise SystemExit(f"JupyterHub answered {status} to a spawn: {said[:300]!r}")
        return time.perf_counter() - began

    def stop(self) -> None:
        """End the server, and wait until it is over."""
        status, said = self.ask("DELETE", f"/users/{USER}/server")
        deadline = time.monotonic() + UP_WITHIN_S
        while json.loads(self.ask("GET", f"/users/{USER}")[1]).get("server") or self._is_stopping():
            if status not in (202, 204) or time.monotonic() > deadline:
                raise SystemExit(f"JupyterHub did not stop its server ({status}): {said[:300]!r}")
            time.sleep(0.05)

    def _is_stopping(self) -> bool:
        return bool(json.loads(self.ask("GET", f"/users/{USER}")[1]).get("pending"))


@contextmanager
def running(command: Sequence[str]) -> Iterator[Hub]:
    """A hub whose servers are this command."""
    place = Path(os.environ["ENVFORGE_BENCH_JUPYTERHUB"])
    state = place / "state"
    shutil.rmtree(state, ignore_errors=True)
    (state / "home").mkdir(parents=True, mode=0o700)
    ports, token = _free_ports(3), secrets.token_hex(24)
    config = state / "config.py"
    config.touch(mode=0o600)
    config.write_text(
        CONFIG.format(
            public=ports[0],
            hub=ports[1],
            api=ports[2],
            home=str(state / "home"),
            command=list(command),
            proxy=[str(place / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy")],
            token=token,
        )
    )
    environment = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    environment["PATH"] = f"{place / 'venv' / 'bin'}:{os.environ['PATH']}"
    with (state / "log").open("wb") as log, ExitStack() as after:
        hub = subprocess.Popen(
            [str(place / "venv" / "bin" / "jupyterhub"), "-f", str(config)],
            cwd=state,
            env=environment,
            stdout=log,
            stderr=log,
        )
        after.callback(_end, hub)
        yield _up(hub, ports[1], token, state / "log")


def _up(hub: "subprocess.Popen[bytes]", port: int, token: str, log: Path) -> Hub:
    deadline = time.monotonic() + UP_WITHIN_S
    while hub.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            made = Hub(port, token)
            status, _ = made.ask("POST", f"/users/{USER}")
            if status == 201:
                return made
        time.sleep(0.2)
    raise SystemExit(f"JupyterHub did not come up:\n{log.read_text(errors='replace')[-2000:]}")


def _end(hub: "subprocess.Popen[bytes]") -> None:
    # It ends its proxy and servers with it.
    hub.terminate()
    try:
        hub.wait(timeout=20)
    except subprocess.TimeoutExpired:
        hub.kill()
        hub.wait()


def _free_ports(number: int) -> list[int]:
    with ExitStack() as open_:
        probes = [open_.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
