"""Polls that wait: woken by the commit, without a thread or a connection of their own; whatever breaks, late at most."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from subprocess import Popen
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.conf import settings
from django.utils import timezone

from envforge import tenancy
from envforge_protocol.host.commands import Leased
from hosts import polls, queue
from hosts.tokens import revoke_host_tokens
from tests.product.host_api.machines import Daemon, change, command, stop, token_of, want, workspace

SOON_S = 2.0


class Poll:
    """A poll in a thread: what it was answered, and when."""

    def __init__(self, daemon: Daemon, wait_s: int = 20) -> None:
        self._daemon = daemon
        self._wait_s = wait_s
        self.status = 0
        self.body: dict[str, Any] = {}
        self.at = 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        time.sleep(0.3)

    def _run(self) -> None:
        answer = self._daemon.get(f"commands?wait_s={self._wait_s}")
        self.at = time.monotonic()
        self.status = answer.status_code
        self.body = answer.json() if answer.content else {}

    def answered(self, within_s: float = SOON_S) -> int:
        self._thread.join(timeout=within_s)
        assert not self._thread.is_alive(), "the poll still waits"
        return self.status

    def ids(self) -> list[str]:
        return [one["id"] for one in self.body.get("commands", [])]


def test_a_waiting_poll_is_woken_by_the_commit(daemon: Daemon) -> None:
    poll = Poll(daemon)
    with tenancy.enter(daemon.host.org_id):
        wanted = queue.want(host_id=daemon.host.id, payload=stop(workspace()), key="one", cause="test")
        time.sleep(0.3)
        assert not poll.status, "not before it is committed"
    assert poll.answered() == 200
    assert poll.ids() == [str(wanted)]


def test_nothing_to_do_is_said_after_the_wait(daemon: Daemon) -> None:
    began = time.monotonic()
    poll = Poll(daemon, wait_s=1)
    assert poll.answered(3) == 204
    assert 0.4 < poll.at - began < 2.5


def test_of_two_polls_of_one_vm_the_later_waits(daemon: Daemon) -> None:
    """The earlier is perhaps of a connection that is dead: no command goes there."""
    earlier = Poll(daemon)
    later = Poll(daemon)
    assert earlier.answered() == 204
    wanted = want(daemon.host, stop(workspace()))
    assert later.answered() == 200
    assert later.ids() == [str(wanted)]


def test_two_polls_of_one_vm_at_two_processes_get_one_command_once(
    daemon: Daemon, web_process: Callable[[], tuple[str, Popen[bytes]]]
) -> None:
    address, _ = web_process()
    polls_of_one = [Poll(daemon, 3), Poll(Daemon(address, daemon.host, daemon.boot_id, daemon.token), 3)]
    wanted = want(daemon.host, stop(workspace()))
    assert sorted(one.answered(6) for one in polls_of_one) == [200, 204]
    assert [each for one in polls_of_one for each in one.ids()] == [str(wanted)]


def test_who_hangs_up_is_given_no_command(daemon: Daemon) -> None:
    host, port = daemon.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        lines = [
            "GET /host/v1/commands?wait_s=20 HTTP/1.1",
            f"Host: {settings.HOST_API_HOST}",
            "EnvForge-Protocol: 1",
            f"Authorization: Bearer {daemon.token}",
        ]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        time.sleep(0.5)
    time.sleep(0.5)
    wanted = want(daemon.host, stop(workspace()))
    [leased] = daemon.poll()
    assert (leased.id, leased.attempt) == (wanted, 1)


def listeners(admin: psycopg.Connection) -> list[int]:
    admin.rollback()  # within a transaction the answer would stay the same
    rows = admin.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'envforge polls' AND datname = current_database()"
    ).fetchall()
    return [row[0] for row in rows]


def test_a_killed_listener_comes_back(daemon: Daemon, admin: psycopg.Connection) -> None:
    poll = Poll(daemon)
    before = listeners(admin)
    assert len(before) == 1, "one connection for all of a process' polls"
    admin.execute("SELECT pg_terminate_backend(%s)", before)
    deadline = time.monotonic() + 5
    while not set(listeners(admin)) - set(before):
        assert time.monotonic() < deadline, "nobody listens again"
        time.sleep(0.05)
    wanted = want(daemon.host, stop(workspace()))
    assert poll.answered() == 200
    assert poll.ids() == [str(wanted)]


@contextmanager
def nobody_listens() -> Any:
    """Wakes get lost: they are sent where nobody listens."""
    channel, queue.CHANNEL = queue.CHANNEL, "elsewhere"
    yield
    queue.CHANNEL = channel


def test_a_lost_notification_costs_seconds(daemon: Daemon) -> None:
    poll = Poll(daemon)
    with nobody_listens():
        wanted = want(daemon.host, stop(workspace()))
    assert poll.answered(polls.RECHECK_S + SOON_S) == 200
    assert poll.ids() == [str(wanted)]


def test_a_lease_that_runs_out_wakes_the_poll_that_waits(daemon: Daemon) -> None:
    wanted = want(daemon.host, stop(workspace()))
    assert len(daemon.poll()) == 1
    poll = Poll(daemon)
    change(command(daemon.host, wanted), leased_until=timezone.now() - timedelta(seconds=1))
    assert poll.answered(polls.RECHECK_S + SOON_S) == 200
    assert [Leased.model_validate(one).attempt for one in poll.body["commands"]] == [2]


def test_the_next_of_a_lane_wakes_the_poll_that_waits(daemon: Daemon) -> None:
    on_it = workspace()
    want(daemon.host, stop(on_it, 1))
    [first] = daemon.poll()
    second = want(daemon.host, stop(on_it, 2))
    poll = Poll(daemon)
    assert not poll.status
    assert daemon.done(first).status_code == 204
    assert poll.answered() == 200
    assert poll.ids() == [str(second)]


def test_h5_a_poll_of_a_vm_that_is_shut_out_ends_at_once(daemon: Daemon) -> None:
    poll = Poll(daemon)
    with tenancy.enter(daemon.host.org_id):
        revoke_host_tokens(daemon.host.id)
    assert poll.answered() == 401
    assert daemon.poll_status() == 401


def test_h4_a_token_ends_with_its_hour_its_generation_and_its_vm(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert daemon.poll_status() == 204
    earlier = daemon.token
    daemon.token = token_of(daemon.host, daemon.boot_id)
    renewed = daemon.token
    daemon.token = earlier
    assert daemon.poll_status() == 204, "what is on its way may still arrive"
    with monkeypatch.context() as clock:
        now = timezone.now()
        clock.setattr("hosts.tokens.timezone.now", lambda: now + timedelta(seconds=61))
        assert daemon.poll_status() == 401
        daemon.token = renewed
        assert daemon.poll_status() == 204
        clock.setattr("hosts.tokens.timezone.now", lambda: now + timedelta(seconds=3601))
        assert daemon.poll_status() == 401
    for columns in ({"generation": 2}, {"generation": 1, "wanted": "ended"}):
        change(daemon.host, **columns)
        assert daemon.poll_status() == 401
    change(daemon.host, wanted="running")
    assert daemon.poll_status() == 204
    daemon.token = token_of(daemon.host, uuid4())
    daemon.token, other = renewed, daemon.token
    assert daemon.poll_status() == 401, "a VM that started anew leaves no earlier token"
    daemon.token = other
    assert daemon.poll_status() == 204
