"""500 daemons that wait at one web process on one core: how long from the commit of a command until its VM has it.

Real uvicorn, real PostgreSQL. The web process is pinned to one core; the daemons and whoever commits are this process, on the
other cores where there are any. Beside it, in the same run, the limit: a raw NOTIFY from a commit to a bare connection
that listens, at the same pace.
"""

import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

from bench import _django
from bench._figures import Figures, quick

# isort: split
import psycopg
from django.conf import settings
from django.db import connections
from django.utils import timezone

from envforge import tenancy
from envforge.actor import SYSTEM
from envforge_protocol.host.commands import StopRuntime
from envforge_protocol.host.workspaces import Storage, Workspace
from hosts import queue, tokens
from hosts.models import Host, HostRole, HostVoice, Observed, Size
from hosts.polls import listening_address
from orgs import operations

GOAL_MS = 100.0
ORGANIZATIONS = 20


def main() -> int:
    daemons, seconds, a_second = (50, 3, 10) if quick() else (500, 20, 20)
    _django.migrate()
    hosts = make_hosts(daemons)
    cores = sorted(os.sched_getaffinity(0))
    address, process = start_web(cores[0])
    os.sched_setaffinity(0, set(cores[1:] or cores))
    try:
        return asyncio.run(measure(address, process.pid, hosts, seconds, a_second))
    finally:
        process.terminate()
        process.wait(timeout=20)


def make_hosts(number: int) -> list[tuple[UUID, UUID, str]]:
    """Hosts of some organizations: organization, host, token."""
    made = []
    orgs = []
    for one in range(ORGANIZATIONS):
        person = operations.remember_person(
            issuer="https://issuer.test/",
            subject=f"bench|{one}",
            email=f"b{one}@bench.test",
            email_verified=True,
            name="Bench",
        )
        orgs.append(
            operations.create_organization(
                actor=SYSTEM, slug=f"bench-{one}", name=f"Bench {one}", owner=person
            )
        )
    now = timezone.now()
    for one in range(number):
        with tenancy.enter(orgs[one % ORGANIZATIONS].id):
            host = Host.objects.create(
                role=HostRole.RUNTIME,
                size=Size.SMALL,
                wanted_at=now,
                observed=Observed.RUNNING,
                observed_at=now,
                joined_at=now,
                instance_id=f"i-{one:017x}",
                **({"number": one + 1} if hasattr(Host, "number") else {}),
            )
            boot = uuid4()
            HostVoice.objects.create(host=host, generation=1, boot_id=boot)
            held, _ = tokens.issue(host, boot)
            made.append((host.org_id, host.id, held))
    return made


def start_web(core: int) -> tuple[tuple[str, int], subprocess.Popen[bytes]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "envforge.asgi:application", "--port", str(port)),
            *("--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "1"),
        ]
    )
    os.sched_setaffinity(process.pid, {core})
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return ("127.0.0.1", port), process
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("The web process did not start.")
        time.sleep(0.05)


class Daemon:
    """Polls over one connection, as a daemon does; notes when a command came."""

    def __init__(self, address: tuple[str, int], token: str, came: dict[str, float]) -> None:
        self._address = address
        self._came = came
        self._asks = (
            f"GET /host/v1/commands?wait_s=25 HTTP/1.1\r\nHost: {settings.HOST_API_HOST}\r\nEnvForge-Protocol: 1\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            while True:
                writer.write(self._asks)
                head = await reader.readuntil(b"\r\n\r\n")
                now = time.perf_counter()
                status = int(head.split(b" ", 2)[1])
                if status not in {200, 204}:
                    raise RuntimeError(f"The poll was answered {status}.")
                lengths = [
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                ]
                body = await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
                for one in json.loads(body)["commands"] if body else ():
                    self._came[one["id"]] = now
        finally:
            writer.close()


async def measure(
    address: tuple[str, int], pid: int, hosts: list[tuple[UUID, UUID, str]], seconds: int, a_second: int
) -> int:
    figures = Figures(f"polls: {len(hosts)} daemons wait at one web process on one core")
    memory_before = memory_mib(pid)
    came: dict[str, float] = {}
    daemons = [asyncio.create_task(Daemon(address, held, came).run()) for _, _, held in hosts]
    await asyncio.sleep(max(4.0, len(hosts) / 100))
    idle = await cpu_percent(pid, 5 if len(hosts) > 100 else 1)
    ran, waited = ran_and_waited(pid)
    steady = await deliver(hosts, came, seconds * a_second, a_second)
    ran, waited = (after - before for before, after in zip((ran, waited), ran_and_waited(pid), strict=True))
    burst = await deliver(hosts, came, len(hosts), 0)
    memory = memory_mib(pid)
    threads, connected = counted(pid)
    died = [task.exception() for task in daemons if task.done()]
    for task in daemons:
        task.cancel()
    await asyncio.gather(*daemons, return_exceptions=True)
    if died:
        raise SystemExit(f"{len(died)} daemons ended: {died[0]}")
    limit = await notify_alone(seconds * a_second // 4, a_second)
    figures.tell("the limit: NOTIFY to a bare listener, p50 / p99", told(limit))
    figures.tell(f"command, commit to receipt, {a_second} a second, p50 / p99", told(steady))
    figures.at_most("  its p99", at(steady, 99) * 1000, GOAL_MS, " ms")
    if at(limit, 50):
        figures.tell("  its p50 as a multiple of the limit's", f"{at(steady, 50) / at(limit, 50):.1f}")
    figures.tell(f"all {len(hosts)} at once, p50 / p99", told(burst))
    figures.tell(
        "  processor time a command, polls that come back included", f"{ran * 1000 / len(steady):.1f} ms"
    )
    # Well above what it ran: the machine was busy with other things, and the latencies say little.
    figures.tell("  time it ran / waited for its core", f"{ran:.1f} / {waited:.1f} s")
    figures.tell("processor, everybody waiting", f"{idle:.1f} %")
    figures.tell("memory before, and with everybody waiting", f"{memory_before:.0f} / {memory:.0f} MiB")
    figures.tell("a waiting poll", f"{(memory - memory_before) * 1024 / len(hosts):.0f} KiB")
    figures.tell("threads, and connections to PostgreSQL", f"{threads} / {connected}")
    return figures.finish()


async def deliver(
    hosts: list[tuple[UUID, UUID, str]], came: dict[str, float], number: int, a_second: int
) -> list[float]:
    """Commit commands at a pace (0: as fast as they can be); seconds from each commit to its receipt."""
    committed: dict[str, float] = {}
    chosen = [random.choice(hosts) for _ in range(number)] if a_second else hosts  # noqa: S311 - a load, no secret

    def commit() -> None:
        began = time.perf_counter()
        for position, (org_id, host_id, _) in enumerate(chosen):
            if a_second:
                time.sleep(max(0.0, began + position / a_second - time.perf_counter()))
            payload = StopRuntime(workspace=workspace(), epoch=1)
            with tenancy.enter(org_id):
                wanted = queue.want(host_id=host_id, payload=payload, key=str(uuid4()), cause="bench")
            committed[str(wanted)] = time.perf_counter()
        connections.close_all()

    await asyncio.to_thread(commit)
    deadline = time.perf_counter() + 30
    while not committed.keys() <= came.keys():
        if time.perf_counter() > deadline:
            raise SystemExit(f"{len(committed.keys() - came.keys())} of {number} commands never came.")
        await asyncio.sleep(0.05)
    # A receipt may be noted before the thread that committed goes on.
    return [max(0.0, came[one] - at_commit) for one, at_commit in committed.items()]


async def notify_alone(number: int, a_second: int) -> list[float]:
    latencies: list[float] = []
    sent: dict[str, float] = {}
    listener = await psycopg.AsyncConnection.connect(listening_address("envforge bench"), autocommit=True)
    await listener.execute("LISTEN envforge_bench")

    def commit() -> None:
        with psycopg.connect(listening_address("envforge bench"), autocommit=True) as connection:
            for one in range(number):
                with connection.transaction():
                    connection.execute("SELECT pg_notify('envforge_bench', %s)", [str(one)])
                sent[str(one)] = time.perf_counter()
                time.sleep(1 / a_second)

    committing = asyncio.create_task(asyncio.to_thread(commit))
    async for notification in listener.notifies(stop_after=number):
        came = time.perf_counter()
        await asyncio.sleep(0.001)
        latencies.append(max(0.0, came - sent.get(notification.payload, came)))
    await committing
    await listener.close()
    return latencies


def workspace() -> Workspace:
    storage = Storage(kind="directory", directory="/srv/w")
    return Workspace(id=uuid4(), slug="main", user="main", uid=200_000, storage=storage)


def at(seconds: Sequence[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100)[percent - 1]


def told(seconds: Sequence[float]) -> str:
    return f"{at(seconds, 50) * 1000:.1f} / {at(seconds, 99) * 1000:.1f} ms"


def memory_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("The web process is gone.")


async def cpu_percent(pid: int, seconds: float) -> float:
    before, _ = ran_and_waited(pid)
    await asyncio.sleep(seconds)
    return 100 * (ran_and_waited(pid)[0] - before) / seconds


def ran_and_waited(pid: int) -> tuple[float, float]:
    """Seconds its threads ran, and seconds they were ready and had to wait for a core that others used."""
    each = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(one[0]) for one in each) / 1e9, sum(int(one[1]) for one in each) / 1e9


def counted(pid: int) -> tuple[int, int]:
    """Threads of the process, and its connections to PostgreSQL; the latter are counted over all, less our own."""
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    with _django.superuser() as admin:
        row = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'envforge_app' AND datname = %s",
            [settings.DATABASES["default"]["NAME"]],
        ).fetchone()
    return threads, row[0] if row else 0


if __name__ == "__main__":
    sys.exit(main())
