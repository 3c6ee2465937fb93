"""From the commit of a revocation until nothing passes any more: the real control plane, several gateway processes, open WebSockets.

Two gateway processes and the web process (uvicorn) share one core; the app, the clients and whoever commits have the other. Every process
has half of the sockets: of one alone, 10,000 would need more open files than some machines let a process have. Beside it, in the
same run, the limit: a reset of as many sockets and nothing else.
"""

import os
import random
import re
import select
import socket
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

from bench import _django
from bench._figures import Figures, quick
from bench._processes import free, memory, most_files, pinned
from bench.polls import start_web

# isort: split
from django.conf import settings
from django.utils import timezone

from devlinks.models import PurgeReceipt
from devlinks.operations import links
from envforge.actor import SYSTEM
from envforge_gateway.resets import reset
from orgs import operations
from tests.product.devlinks import yard as yards
from tests.product.devlinks.yard import Yard, token_of
from workspaces.models import Workspace

GATEWAYS = 2
GOAL_MS = 100.0
VM = "127.20.1.8"
AT_ONCE = 4


def main() -> int:
    # Links revoked one at a time, links of a workspace that is closed to all, and of one with all the others; sockets of each.
    singles, some, most, each = (3, 2, 4, 10) if quick() else (40, 20, 140, 50)
    files = most_files()
    each = min(each, (files - 1000) // 2 * GATEWAYS // (singles + some + most))
    _django.migrate()
    yards.ADDRESS = VM
    yard = made_yard()
    few, rest = yard.workspace, yard.branch("rest")
    for workspace in (few, rest):
        yard.awake(workspace)
    cores = sorted(os.sched_getaffinity(0))
    figures = Figures(
        f"revocation: {singles + some + most} links, {(singles + some + most) * each} sockets, {GATEWAYS} gateway processes"
    )
    with ExitStack() as stack:
        stack.enter_context(
            pinned([sys.executable, "-m", "bench._gateway_process", "sockets", "20001", VM], cores[-1])
        )
        address, web = start_web(cores[0])
        stack.callback(web.wait, 20)
        stack.callback(web.terminate)
        doors = [Door.open(stack, cores[0], address[1], number) for number in range(GATEWAYS)]
        os.sched_setaffinity(0, {cores[-1]})
        issued = [
            issue(yard, workspace)
            for workspace, number in ((few, some), (rest, singles + most))
            for _ in range(number)
        ]
        visits = opened(figures, doors[0], issued)
        before = sum(memory(door.pid) for door in doors)
        held = [connect(doors[one % GATEWAYS], visit) for visit in visits for one in range(each)]
        time.sleep(1)
        figures.at_most(
            f"{len(held)} idle WebSockets, memory above idle, all processes",
            sum(memory(door.pid) for door in doors) - before,
            100,
            " MiB",
        )
        by_link: dict[UUID, list[socket.socket]] = {visit.link: [] for visit in visits}
        for link, one in held:
            by_link[link].append(one)
        one_by_one(figures, yard, doors, visits[some : some + singles], by_link)
        at_once(figures, yard, few, "many links", sockets(visits[:some], by_link))
        alone = limit(most * each)
        at_once(figures, yard, rest, "all others", sockets(visits[some + singles :], by_link))
        figures.tell(f"  limit: resetting {most * each} sockets, nothing else", f"{alone:.1f} ms")
    missed = figures.finish()
    return 0 if quick() else missed


def made_yard() -> Yard:
    person = operations.remember_person(
        issuer="https://issuer.bench/",
        subject="owner",
        email="owner@bench.test",
        email_verified=True,
        name="Owner",
    )
    made = operations.create_organization(actor=SYSTEM, slug="bench", name="Bench", owner=person)
    # The cast of the tests is not needed.
    return Yard(cast("Any", None), made, person)


def issue(yard: Yard, workspace: Workspace) -> links.Issued:
    return yard.issue(
        workspace_id=workspace.id, lifetime=timedelta(hours=1), surfaces=["web", "api", "websockets"]
    )


@dataclass
class Door:
    """One gateway process, and the requests that are asked of it."""

    pid: int
    port: int

    @classmethod
    def open(cls, stack: ExitStack, core: int, web_port: int, number: int) -> "Door":
        port = free()
        environment = {
            "ENVFORGE_DEV_URL": settings.DEV_URL,
            "ENVFORGE_GATEWAY_API_URL": f"http://{settings.GATEWAY_API_HOST}:{web_port}",
            "ENVFORGE_GATEWAY_CREDENTIAL": settings.GATEWAY_CREDENTIALS[0],
            "ENVFORGE_GATEWAY_LISTEN": f"127.0.0.1:{port}",
            "ENVFORGE_GATEWAY_ADMIN_LISTEN": "127.0.0.1:0",
            "ENVFORGE_GATEWAY_UPSTREAM_NETWORKS": f"{VM}/32",
            "ENVFORGE_GATEWAY_DRAIN_S": "0",
        }
        command = [sys.executable, "-m", "envforge_gateway", "--process", str(number)]
        process = stack.enter_context(pinned(command, core, environment=environment, answers=True))
        door = cls(process.pid, port)
        deadline = time.monotonic() + 20
        while True:
            try:
                if door.ask("/", "unknown.test")[0] == 421:
                    return door
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise SystemExit("A gateway did not start.")
            time.sleep(0.05)

    def ask(self, target: str, host: str, *fields: str, body: str | None = None) -> tuple[int, str]:
        """One request on a connection of its own: status, and the answer as text; 0 when it was cut under way."""
        lines = [
            f"{'GET' if body is None else 'POST'} {target} HTTP/1.1",
            f"Host: {host}",
            "Connection: close",
            *fields,
        ]
        if body is not None:
            lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as held:
            held.sendall(("\r\n".join(lines) + "\r\n\r\n" + (body or "")).encode())
            said = b""
            try:
                while part := held.recv(65536):
                    said += part
            except ConnectionResetError:
                pass
        return int(said[9:12] or 0), said.decode("latin-1")


@dataclass
class Visit:
    """A session at its host."""

    link: UUID
    host: str
    cookie: str
    took_s: float = field(default=0.0)


def opened(figures: Figures, door: Door, issued: Sequence[links.Issued]) -> list[Visit]:
    """Every link's session, as a browser makes it: four requests, of which two ask the control plane."""

    def enter(one: links.Issued) -> Visit:
        began = time.perf_counter()
        domain = urlsplit(settings.DEV_URL).hostname or ""
        page = ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
        _, said = door.ask("/share", domain, body=f"token={token_of(one)}")
        share, host = found(r"__Host-envforge-share=[^;]+", said), found(r"Location: https?://([^/:]+)", said)
        _, said = door.ask("/.envforge/open", host, *page)
        state, query = found(r"__Host-envforge-state=[^;]+", said), found(r"continue\?(\S+)", said)
        _, said = door.ask(f"/share/continue?{query}", domain, f"Cookie: {share}", *page)
        code = found(r'name="code" value="([^"]+)"', said)
        _, said = door.ask("/.envforge/redeem", host, "Origin: null", f"Cookie: {state}", body=f"code={code}")
        return Visit(one.link.id, host, found(r"__Host-envforge=[^;]{43}", said), time.perf_counter() - began)

    alone = [enter(one) for one in issued[: len(issued) // 2]]
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        together = list(pool.map(enter, issued[len(alone) :]))
    rate = len(together) / (time.perf_counter() - began)
    figures.tell("a session opened (verify, open, redeem), p50 / p99", told([one.took_s for one in alone]))
    figures.tell(f"  sessions a second, {AT_ONCE} at once, one web process", f"{rate:.0f}")
    return [*alone, *together]


def found(pattern: str, said: str) -> str:
    match = re.search(pattern, said)
    if match is None:
        raise SystemExit(f"Not what was expected: {said[:300]}")
    return match[match.lastindex or 0]


def connect(door: Door, visit: Visit) -> tuple[UUID, socket.socket]:
    held = socket.create_connection(("127.0.0.1", door.port), timeout=20)
    held.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {visit.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nCookie: {visit.cookie}\r\n\r\n".encode()
    )
    said = held.recv(4096)
    if not said.startswith(b"HTTP/1.1 101"):
        raise SystemExit(f"A WebSocket was answered {said[:300]!r}")
    return visit.link, held


class Watch(threading.Thread):
    """Notes when each of some sockets was ended by the other side."""

    def __init__(self, held: Sequence[socket.socket]) -> None:
        super().__init__()
        self._poll = select.epoll()
        self._left = {one.fileno() for one in held}
        self.ended: list[float] = []
        for number in self._left:
            self._poll.register(number, select.EPOLLRDHUP)
        self.start()

    def run(self) -> None:
        deadline = time.perf_counter() + 20
        while self._left and time.perf_counter() < deadline:
            events = self._poll.poll(1, 4096)
            now = time.perf_counter()
            for number, _ in events:
                self._left.discard(number)
                self._poll.unregister(number)
                self.ended.append(now)

    def since(self, began: float) -> list[float]:
        """Seconds after `began` at which each ended."""
        self.join()
        if self._left:
            raise SystemExit(f"{len(self._left)} sockets were not cut.")
        # It may be noted before the thread that committed goes on.
        return [max(0.0, one - began) for one in self.ended]


def one_by_one(
    figures: Figures,
    yard: Yard,
    doors: Sequence[Door],
    visits: Sequence[Visit],
    by_link: dict[UUID, list[socket.socket]],
) -> None:
    """One link at a time, all others open: until every process refuses, and until each of its sockets is cut."""
    refused: list[float] = []
    cut: list[float] = []
    for visit in visits:
        time.sleep(random.uniform(0.05, 0.15))  # noqa: S311 - not in step with anything
        watch = Watch(by_link[visit.link])
        asked: list[float] = []
        asking = [threading.Thread(target=until_refused, args=(door, visit, asked)) for door in doors]
        for one in asking:
            one.start()
        links.revoke_dev_link(actor=yard.alice, org_id=yard.org, link_id=visit.link)
        began = time.perf_counter()
        cut += watch.since(began)
        for one in asking:
            one.join()
        refused.append(max(0.0, max(asked) - began))
    figures.tell(
        f"one link of {len(by_link)}, commit to refusal by every process, p50", f"{p(refused, 50):.1f} ms"
    )
    figures.at_most("  p99", p(refused, 99), GOAL_MS, " ms")
    figures.tell(f"  commit to the cut of its {len(cut) // len(visits)} sockets, p50", f"{p(cut, 50):.1f} ms")
    figures.at_most("  p99", p(cut, 99), GOAL_MS, " ms")


def until_refused(door: Door, visit: Visit, asked: list[float]) -> None:
    deadline = time.perf_counter() + 10
    while time.perf_counter() < deadline:
        status, _ = door.ask("/", visit.host, f"Cookie: {visit.cookie}")
        if status == 410:
            asked.append(time.perf_counter())
            return
        time.sleep(0.002)
    raise SystemExit("A process still answers.")


def at_once(
    figures: Figures,
    yard: Yard,
    workspace: Workspace,
    name: str,
    held: Sequence[socket.socket],
) -> None:
    """All links of a workspace in one transaction; on the gateways' side until the last purge was applied, as their receipts say."""
    watch = Watch(held)
    asked = timezone.now()
    number = links.revoke_links_of_workspace(actor=yard.alice, org_id=yard.org, workspace_id=workspace.id)
    began, committed = time.perf_counter(), timezone.now()
    cut = watch.since(began)
    deadline = time.monotonic() + 10
    applied: list[Any] = []
    while time.monotonic() < deadline and sum(one.cut for one in applied) < len(held):
        time.sleep(0.05)
        applied = list(PurgeReceipt.objects.filter(applied_at__gte=asked))
    last = max((one.applied_at - committed).total_seconds() for one in applied) * 1000
    figures.tell(
        f"{name}: {number} of them, {len(held)} sockets in one transaction, p50", f"{p(cut, 50):.1f} ms"
    )
    figures.at_most("  p99, commit to what the client sees", p(cut, 99), GOAL_MS, " ms")
    figures.tell("  last applied, on the gateways' side", f"{last:.1f} ms")


def sockets(visits: Sequence[Visit], by_link: dict[UUID, list[socket.socket]]) -> list[socket.socket]:
    return [one for visit in visits for one in by_link[visit.link]]


def limit(number: int) -> float:
    """Milliseconds that the kernel takes for as many sockets, in one process that does nothing else."""
    made = min(number, 2000)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        pairs = []
        for _ in range(made):
            client = socket.create_connection(server.getsockname())
            pairs.append((client, server.accept()[0]))
    began = time.perf_counter()
    for _, one in pairs:
        reset(one.fileno())
    took = time.perf_counter() - began
    for pair in pairs:
        for one in pair:
            one.close()
    return took * number / made * 1000


def p(seconds: Sequence[float], percent: int) -> float:
    """A percentile, in milliseconds."""
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000


def told(seconds: Sequence[float]) -> str:
    return f"{p(seconds, 50):.1f} / {p(seconds, 99):.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
