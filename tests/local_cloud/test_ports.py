"""Ports stay the same over restarts; a taken one is explained and another is used for that time."""

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from local_cloud.cloud import plan
from local_cloud.home import Home
from local_cloud.ports import Ports, is_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def unused() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_taken_port_is_explained_and_the_next_free_one_is_used(home: Home, taken: int) -> None:
    choice = Ports(home).choose("web", taken)
    assert choice.port > taken
    assert choice.note is not None
    assert choice.note.startswith(f"Port {taken} is in use by another program")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_program_that_has_the_port_is_named(home: Home, taken: int) -> None:
    assert f"process {os.getpid()})" in str(Ports(home).choose("web", taken).note)


def test_the_first_choice_is_kept_even_if_the_default_changes(home: Home, unused: int) -> None:
    assert Ports(home).choose("web", unused).port == unused
    assert Ports(home).choose("web", unused + 1).port == unused


def test_a_detour_does_not_become_the_usual_way(home: Home, unused: int) -> None:
    Ports(home).choose("web", unused)
    with socket.socket() as other:
        other.bind(("127.0.0.1", unused))
        other.listen()
        assert Ports(home).choose("web", unused).port != unused
    assert Ports(home).choose("web", unused).port == unused


def test_two_servers_of_one_home_never_get_the_same_port(home: Home, unused: int) -> None:
    ports = Ports(home)
    assert ports.choose("web", unused).port != ports.choose("issuer", unused).port


def test_a_port_taken_on_ipv6_alone_is_taken() -> None:
    """A browser on localhost tries ::1 first and would meet somebody else."""
    try:
        server = socket.socket(socket.AF_INET6)
        server.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        server.listen()
        assert not is_free(server.getsockname()[1])


def test_a_port_that_was_just_given_up_is_free(unused: int) -> None:
    """Connections in TIME_WAIT must not push a restarted server to another port."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", unused))
        server.listen()
        with socket.create_connection(("127.0.0.1", unused)) as client:
            accepted, _ = server.accept()
            accepted.close()
            assert client.recv(1) == b""
    assert is_free(unused)


def test_the_console_says_where_it_is_this_time(home: Home, taken: int) -> None:
    (home.root / "ports.json").write_text(f'{{"web": {taken}}}')
    cloud = plan(home, {})
    assert any(note.endswith(f"; the console is at {cloud.console_url} this time.") for note in cloud.notes)
