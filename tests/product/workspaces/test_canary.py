"""Values go through a whole life of a workspace over real VMs, and are nowhere afterwards but in the store and in their service (S1, S3).

The web process, the VM's program, PostgreSQL, Valkey, the AWS endpoint and the Git host are real; whoever is asked is asked over HTTP.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2
import psycopg
import pytest
from django.conf import settings
from django.test import override_settings

from envforge import tenancy
from envforge.host_forms import Files
from local_cloud.aws.state import Snapshots
from secrets_ref.models import Secret
from tests.daemon.machine import why_no_walls
from tests.product.canaries import Process, Watch, database, files, found_in, valkey
from tests.product.chains import export_lines, seal
from tests.product.host_api.conftest import web_process
from tests.product.store import stored
from tests.product.visitors import signed_in
from tests.product.workspaces.real import Real
from tests.product.world import World
from tests.vms import Vms, eventually

__all__ = ["web_process"]  # a fixture

CONTRACT = """version: 1
service: {name: notes}
command: [/usr/bin/python3, canary_app.py]
ports: {web: 3000}
inputs: {FIRST_KEY: secret, SECOND_KEY: secret}
env:
  FIRST_KEY: ${inputs.FIRST_KEY}
  SECOND_PAIR: "notes:${inputs.SECOND_KEY};"
setup:
  - {name: announce, command: [/usr/bin/python3, canary_app.py, announce]}
commands:
  print: {command: [/usr/bin/python3, canary_app.py, print]}
health: {http: /health}
"""
APP = '''"""Uses its values, and does with them all that it should not."""
import hmac, http.server, os, sys, threading, time

first, second = os.environ["FIRST_KEY"], os.environ["SECOND_PAIR"]
crash = threading.Event()

def say(text):
    print(text, flush=True)

def betray():
    say(f"whole: {first} and {second}")
    for piece in (first[:17], first[17:], "\\n", second[:30], second[30:], "\\n"):
        sys.stdout.write(piece)
        sys.stdout.flush()
        time.sleep(0.15)
    print("on the other stream", first, file=sys.stderr, flush=True)

class Notes(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = f"{len(first)} {os.getpid()}"
        if self.path == "/use":
            said = str(len(hmac.digest(first.encode(), second.encode(), "sha256")))
        elif self.path == "/betray":
            betray()
        elif self.path == "/crash":
            crash.set()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())

if sys.argv[1:]:
    say(f"{sys.argv[1]} begins")
    betray()
    raise SystemExit
threading.Thread(target=http.server.ThreadingHTTPServer(("127.0.0.1", 3000), Notes).serve_forever, daemon=True).start()
crash.wait()
raise RuntimeError(f"cannot sign with {first} at {second}")
'''
CSRF = "c" * 32


class Door:
    """Alice's browser and program at a web process; keeps every answer."""

    def __init__(self, world: World, address: str) -> None:
        self.slug = world.acme.slug
        cookies = {name: one.value for name, one in signed_in(world.alice).cookies.items()}
        cookies[settings.CSRF_COOKIE_NAME] = CSRF
        self._client = httpx2.Client(
            base_url=address,
            headers={
                "host": urlsplit(settings.CONSOLE_URL).netloc,
                "cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
                "x-csrftoken": CSRF,
            },
            timeout=30,
            trust_env=False,
        )
        self.answers: list[str] = []

    def ask(self, method: str, path: str, *statuses: int, **more: Any) -> httpx2.Response:
        headers = {"idempotency-key": str(uuid4())}
        answer = self._client.request(method, path, headers=headers, **more)
        self.answers.append(f"{method} {path} {answer.headers} {answer.text}")
        assert answer.status_code in (statuses or (200,)), (
            f"{path}: {answer.status_code} {answer.text[:2000]}"
        )
        return answer

    def page(self, path: str) -> str:
        return self.ask("GET", f"/o/{self.slug}{path}").text

    def form(self, path: str, **fields: str) -> str:
        return self.ask("POST", f"/o/{self.slug}{path}", 303, data=fields).headers["location"]

    def api(self, method: str, path: str, body: Any = None) -> Any:
        return self.ask(method, f"/api/v1/orgs/{self.slug}{path}", 200, 202, json=body).json()

    def close(self) -> None:
        self._client.close()


class Life:
    """One workspace, the values it is given, and where they may be."""

    def __init__(self, vms: Vms, scratch: Path, address: str, log: Path) -> None:
        self.world, self.vms, self.log, self.began = World(), vms, log, time.time()
        content = scratch / "content" / "notes"
        content.mkdir(parents=True)
        (content / "envforge.yml").write_text(CONTRACT)
        (content / "canary_app.py").write_text(APP)
        self.real = Real(self.world, vms, scratch / "repositories", {"notes": content})
        self.door = Door(self.world, address)
        self.values: set[str] = set()
        self.workspace = f"/workspaces/{self.real.opened.id}"

    def new(self) -> str:
        made = f'canary+{uuid4()}/ "q" é'
        self.values.add(made)
        return made

    def token(self) -> str:
        """What opens the repository."""
        return stored(self.secret("READ_notes").path)

    def secret(self, name: str) -> Secret:
        with tenancy.enter(self.real.org_id):
            return Secret.objects.get(name=name)

    def sessions(self) -> set[str]:
        """Secret keys and tokens of every session that was minted for this organization's secrets, as the AWS endpoint knows them."""
        known = Snapshots(HOME / "aws").load("layer")["sessions"].values()
        mine = [one for one in known if self.real.org_id.hex in one.tags.values()]
        return {text for one in mine for text in (one.secret_access_key, one.session_token)}

    def log_of(self, name: str) -> str:
        return (self.vms.directory / "files" / str(self.real.opened.id) / "logs" / name).read_text()

    def on_vm(self) -> Path:
        """The VM's own memory file system, in which keepers note the states of runs."""
        pid = self.vms.machine(self.real.vm().instance_id).daemon_pid
        return Path(f"/proc/{pid}/root/run")

    def run(self, **asked: Any) -> str:
        """A command to its end; what was kept of its output."""
        made = self.door.api("POST", f"{self.workspace}/runs", {"service": "notes", **asked})["id"]
        place = f"{self.workspace}/runs/{made}"
        self.real.until(lambda: self.door.api("GET", place)["finished_at"], self.real.told())
        self.door.page(place)
        self.door.page(f"{place}/output")
        return str(self.door.api("GET", f"{place}/output")["text"])


HOME = Path(os.environ.get("ENVFORGE_TEST_LOGS", "/nowhere")).parent


@pytest.fixture
def life(vms: Vms, web_process: Callable[..., tuple[str, Popen[bytes]]], tmp_path: Path) -> Iterator[Life]:
    reason = why_no_walls()
    if reason:
        pytest.skip(reason)
    place = Files("directory", str(vms.directory / "files"))
    log = tmp_path / "web.log"
    address, _ = web_process(log, for_vms=True, ENVFORGE_FILES=f"directory:{place.place}")
    with override_settings(
        HOST_API_HOST=urlsplit(address).hostname, HOST_API_URL=address, WORKSPACE_FILES=place
    ):
        made = Life(vms, tmp_path, address, log)
        yield made
        made.real.end()
        made.door.close()


def assert_masked(text: str, life: Life, *, at_least: int) -> None:
    assert text.count("[masked]") >= at_least, text
    assert not found_in(text, life.values)


def test_s1_s3_h2_k2_k3_values_are_nowhere_but_in_the_store_and_in_their_service(
    life: Life,
    admin: psycopg.Connection,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    real, door = life.real, life.door
    with Watch() as watch:
        _live(life)
        shown = _look_around(life)
        # What it is now, while the service has its values.
        kept_by_vm = list(files(life.on_vm()))
        sessions = life.sessions()
        real.asleep()
    token = life.token()
    everything = life.values | sessions | {token}
    assert len(life.values) == 3
    assert len(sessions) >= 6

    services = {one.uid for one in watch.seen if b"canary_app.py" in one.arguments}
    assert len(services) == 1
    assert not services & {0, os.geteuid()}
    assert any(_is_git(one) for one in watch.seen)
    assert any(path.name == "state.json" for path, _ in kept_by_vm), [str(path) for path, _ in kept_by_vm]
    disks = list(files(life.vms.directory))
    assert any(path.name == "notes.log" for path, _ in disks)
    # Of PostgreSQL's own files the log of what was written meanwhile: a row that was changed again is still there.
    written = list(files(HOME / "postgres" / "pg_wal", since=life.began))
    assert written
    cloud = list(files(*(one for one in HOME.iterdir() if one.name not in {"postgres", "static"})))
    assert admin.execute("SELECT count(*) FROM hosts_hostcommand").fetchone() != (0,)
    logged = "".join(capfd.readouterr()) + caplog.text
    assert life.log.stat().st_size > 0

    found = {
        "arguments of processes": [one.said for one in watch.seen if found_in(one.arguments, everything)],
        "environments": [
            one.said
            for one in watch.seen
            if (found_in(one.environment, life.values) and one.uid not in services)
            or found_in(one.environment, sessions)
            or (found_in(one.environment, {token}) and not _is_git(one))
        ],
        "notes of runs in the VM's memory": _paths(kept_by_vm, everything),
        "disks, consoles, volumes and workspaces' files": _paths(disks, everything),
        # The AWS endpoint keeps parameters and sessions, as AWS does; the Git host its tokens.
        "the local cloud": sorted(
            {
                *(_paths(cloud, life.values) - {"aws/ssm.state"}),
                *(_paths(cloud, sessions) - {"aws/layer.state"}),
                *(one for one in _paths(cloud, {token}) - {"aws/ssm.state"} if "git/tokens/" not in one),
            }
        ),
        "database": sorted({table for table, row in database(admin) if found_in(row, everything)}),
        "the database's log of writes": [
            path.name for path, held in written if any(one[:24].encode() in held for one in everything)
        ],
        "broker and cache": [key for key, held in valkey() if found_in(key + held, everything)],
        "log of the worker's steps": [line for line in logged.splitlines() if found_in(line, everything)],
        "log of web": [one for one in life.log.read_text().splitlines() if found_in(one, everything)],
        "answers": [one[:300] for one in (*door.answers, *shown) if found_in(one, everything)],
        "chain": [one[:300] for one in export_lines(real.org_id) if found_in(one, everything)],
    }
    leaks = [f"{place}: {str(one)[:200]}" for place, what in found.items() for one in what]
    assert not leaks, "\n".join(leaks)
    # What was looked with sees: there it is where it belongs.
    assert {one.uid for one in watch.seen if found_in(one.environment, life.values)} == services
    assert _paths(cloud, life.values) == {"aws/ssm.state"}
    assert _paths(cloud, sessions) == {"aws/layer.state"}


def _paths(held: list[tuple[Path, bytes]], values: set[str]) -> set[str]:
    """Which of the files hold one of the values; those of the local cloud by their place in it."""
    return {
        str(path.relative_to(HOME)) if path.is_relative_to(HOME) else str(path)
        for path, content in held
        if found_in(content, values)
    }


def _is_git(one: Process) -> bool:
    return one.uid not in {0, os.geteuid()} and one.arguments.startswith((b"git\0", b"/usr/lib/git-core/git"))


def _live(life: Life) -> None:
    """Set, bound, woken, used, printed, crashed, rotated; asked for over HTTP wherever there is a door."""
    real, door = life.real, life.door
    first = door.form("/secrets", name="FIRST_KEY", value=life.new(), request=str(uuid4())).rpartition("/")[2]
    second = door.api("POST", "/secrets", {"name": "SECOND_KEY", "value": life.new()})["id"]
    real.shell_ready()
    real.approve()
    repository = "/projects/scheduler/repositories/notes"
    for name, secret in (("FIRST_KEY", first), ("SECOND_KEY", second)):
        door.api("PUT", f"{repository}/bindings/{name}", {"source": "secret", "secret": secret})
    door.api("POST", f"{life.workspace}/wake")
    real.observed("awake")

    # A setup step, the service and commands print the values, whole and in pieces: masked.
    assert_masked(life.log_of("notes.setup.log"), life, at_least=5)
    assert real.get("notes", "/use").text == "32"
    real.get("notes", "/betray")
    assert_masked(life.run(type="service", name="print"), life, at_least=5)
    written = ["/bin/sh", "-c", 'env; echo "$FIRST_KEY" | base64; printf "%s\\n" "$SECOND_PAIR" >&2']
    assert_masked(life.run(type="agent", argv=written), life, at_least=4)

    # It crashes with a value in its own traceback, and is started again.
    before = real.get("notes", "/health").text
    real.get("notes", "/crash")
    eventually(lambda: _answers_anew(real, before), life.log_of("notes.log"))
    log = life.log_of("notes.log")
    assert "RuntimeError: cannot sign with [masked] at notes:[masked];" in log
    assert_masked(log, life, at_least=7)

    # Rotated while awake: the store has the new one, the service the one it woke with.
    last = life.new()
    door.api("POST", f"/secrets/{first}/rotate", {"value": last})
    assert stored(life.secret("FIRST_KEY").path) == last
    assert "[masked]" in life.run(type="service", name="print")


def _answers_anew(real: Real, before: str) -> bool:
    try:
        return real.get("notes", "/health").text != before
    except httpx2.HTTPError:
        return False


def _look_around(life: Life) -> list[str]:
    """Every page and answer that tells of what happened."""
    real, door = life.real, life.door
    seal()
    for path in (
        *("/secrets", f"/secrets/{life.secret('FIRST_KEY').id}", "/timeline", "/usage", "/hosts"),
        *("/projects/scheduler", "/projects/scheduler/repositories/notes", "/workspaces"),
        *(life.workspace, f"{life.workspace}/runs", f"{life.workspace}/wakes/{real.runtime().epoch}"),
    ):
        door.page(path)
    for path in (
        *("/secrets", f"/secrets/{life.secret('FIRST_KEY').id}", "/events", "/usage", "/usage/windows"),
        *("/placements", "/projects/scheduler/repositories/notes", life.workspace, f"{life.workspace}/runs"),
    ):
        door.api("GET", path)
    for form in ("csv", "jsonl"):
        door.ask("GET", f"/api/v1/orgs/{door.slug}/events/export?format={form}")
    exported = door.answers[-1]
    assert "secret.rotated" in exported
    assert "runtime.awake" in exported or "runtime." in exported
    return [str(wake.__dict__) for wake in real.wakes()]
