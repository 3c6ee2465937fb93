"""Exports and the documented API at a real server process: constant memory, clients that hang up, examples that work."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import psycopg
import pytest

from envforge_protocol.audit.checkpoints import load_keys
from envforge_protocol.audit.verify import verify
from tests.browser.conftest import Place
from tests.issuer.conftest import free_port

COOKIE = "__Host-envforge-console"
MANY = 50_000

# Runs as the product does, in a process of its own: this one may hold Playwright's event loop.
PREPARE = """
import django; django.setup()
import json, sys
from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM
from orgs import operations, sessions
from orgs.identity import Identity
from orgs.models import Person
from django.db import connection
slug, count = sys.argv[1], int(sys.argv[2])
alice = Person.objects.get(name="Alice")
acme = operations.create_organization(actor=SYSTEM, slug=slug, name="Acme", owner=alice)
with tenancy.enter(acme.id), connection.cursor() as cursor:
    cursor.execute(
        "INSERT INTO audit_event (id, org_id, at, kind, actor_kind, actor_id, actor_label, target_kind, target_id, target_label,"
        " request_id, facts) SELECT gen_random_uuid(), %s, now() + n * interval '1 microsecond', 'organization.renamed', 'system',"
        " 'system', 'EnvForge', 'organization', %s, 'Acme', '', jsonb_build_object('previous', 'Name ' || n)"
        " FROM generate_series(1, %s) AS n", [acme.id, str(acme.id), count])
identity = Identity(issuer=alice.issuer, subject=alice.subject, email=alice.email, email_verified=True, name=alice.name)
print(sessions.start_session(identity=identity, browser="curl")[1])
"""


def prepare(place: Place, slug: str, count: int) -> str:
    """An organization with this many events, sealed; answers the key of a session of its owner's."""
    command = [sys.executable, "-c", PREPARE, slug, str(count)]
    key = subprocess.run(command, env=place.environment, check=True, capture_output=True, text=True).stdout
    seal(place)
    return key.strip().splitlines()[-1]


def seal(place: Place) -> None:
    """A sealer's pass, as a process of its own with its own identity."""
    identity = {
        name: place.environment[f"ENVFORGE_SEALER_{name}"]
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    command = [sys.executable, "manage.py", "seal_audit", "--once"]
    environment = {**place.environment, **identity}
    subprocess.run(command, env=environment, check=True)


class Server:
    """A console process of this test's own, whose memory can be looked at."""

    def __init__(self, place: Place, log: Path) -> None:
        port = free_port()
        host = urlsplit(place.console).hostname or ""
        command = [sys.executable, "-m", "uvicorn", "envforge.asgi:application", "--host", "127.0.0.1"]
        with log.open("ab") as said:
            self.process = subprocess.Popen(
                [*command, "--port", str(port), "--no-access-log"],
                env=place.environment,
                stdout=said,
                stderr=said,
            )
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers={"host": host}, timeout=60)
        wait_for(self.is_up)

    def is_up(self) -> bool:
        try:
            return self.http.get("/health/live").is_success
        except httpx2.TransportError:
            return False

    def highest_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", status)
        assert found
        return int(found[1])

    def stop(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(10)


def wait_for(met: object, within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not met():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.05)


def connections_in_transaction(place: Place) -> int:
    """How many of the application's connections hold a transaction open."""
    address = place.environment["ENVFORGE_TEST_ADMIN_DATABASE_URL"]
    with psycopg.connect(address) as admin:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND usename = 'envforge_app' AND xact_start IS NOT NULL",
            [urlsplit(place.environment["DATABASE_URL"]).path[1:]],
        ).fetchone()
    assert row
    return int(row[0])


@pytest.mark.skipif(sys.platform != "linux", reason="reads the process' memory from /proc")
def test_a_large_export_takes_no_more_memory_and_whoever_hangs_up_ends_it(
    place: Place, tmp_path: Path
) -> None:
    key = prepare(place, "acme-large", MANY)
    server = Server(place, tmp_path / "console.log")
    try:
        cookie = {"cookie": f"{COOKIE}={key}"}
        address = "/api/v1/orgs/acme-large/events/export?format="
        one_day = server.http.get(f"{address}csv&kind=member.joined", headers=cookie)
        assert one_day.status_code == 200, one_day.text
        before_kib = server.highest_kib()
        size = 0
        with server.http.stream("GET", f"{address}jsonl", headers=cookie) as answer:
            assert answer.status_code == 200
            # A client that takes its time holds no transaction.
            time.sleep(0.5)
            assert connections_in_transaction(place) == 0
            lines = []
            for chunk in answer.iter_bytes():
                size += len(chunk)
                lines.append(chunk)
        assert server.highest_kib() - before_kib < min(size // 1024 // 2, 16 * 1024)
        keys = load_keys(server.http.get("/.well-known/envforge-audit-keys.json").text)
        report = verify(iter(b"".join(lines).splitlines(keepends=True)), keys)
        assert report.ok, report.problems
        assert report.events == MANY + 2

        exported = len(
            server.http.get("/api/v1/orgs/acme-large/events?kind=audit.exported", headers=cookie).json()[
                "events"
            ]
        )
        with pytest.raises(httpx2.TimeoutException):
            server.http.get(f"{address}jsonl", headers=cookie, timeout=0.2)
        wait_for(lambda: connections_in_transaction(place) == 0, within_s=1)
        time.sleep(1)
        told = server.http.get("/api/v1/orgs/acme-large/events?kind=audit.exported", headers=cookie).json()[
            "events"
        ]
        assert len(told) == exported, "nobody received it"
    finally:
        server.stop()


def test_the_documented_examples_work(place: Place, tmp_path: Path) -> None:
    key = prepare(place, "acme-documented", 3)
    # Those of a person with a session; what a program's token does is tried in tests/product.
    documented = re.findall(r"```sh\n(.*?)```", Path("docs/api.md").read_text(), re.DOTALL)
    examples = [one for one in documented if "$TOKEN" not in one]
    assert len(examples) == 4
    environment = {
        **os.environ,
        "ENVFORGE": place.console,
        "SESSION": key,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path.cwd()),
    }
    said = []
    for example in examples:
        script = example.replace("/orgs/acme/", "/orgs/acme-documented/")
        run = subprocess.run(
            ["sh", "-ec", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr
        said.append(run.stdout)
    assert {"slug": "acme-documented", "name": "Acme"} in json.loads(said[0])["organizations"]
    assert [event["sentence"] for event in json.loads(said[1])["events"]] == ["Alice joined as owner"]
    assert json.loads(said[3])["checkpoint"]["seq"] == 5
