"""The local broker: what was accepted is there again after it was killed, and nobody comes in without the password."""

import os
import signal

import pytest
import redis

from local_cloud.cloud import plan
from local_cloud.home import Home
from local_cloud.supervisor import Crash, State, Supervisor
from local_cloud.valkey import BROKER_DATABASE
from tests.local_cloud.test_supervisor import eventually


def test_it_keeps_what_it_accepted_and_asks_for_the_password(home: Home) -> None:
    cloud = plan(home, {}, apart=True)
    crashes: list[Crash] = []
    with Supervisor(home, on_crash=crashes.append) as supervisor:
        supervisor.start([cloud.valkey.part()])
        with redis.Redis.from_url(cloud.valkey.url(BROKER_DATABASE)) as client:
            for number in range(100):
                client.rpush("queue", number)
        first = supervisor.pid("valkey")
        eventually(lambda: b"99" in b"".join(path.read_bytes() for path in home.root.glob("valkey/**/*.aof")))
        os.kill(first, signal.SIGKILL)
        eventually(lambda: crashes and supervisor.state("valkey") is State.READY)
        with redis.Redis.from_url(cloud.valkey.url(BROKER_DATABASE)) as client:
            assert client.llen("queue") == 100
        with (
            redis.Redis(host="127.0.0.1", port=cloud.ports["valkey"]) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()


def test_its_password_is_not_among_its_arguments(home: Home) -> None:
    cloud = plan(home, {}, apart=True)
    assert cloud.keys["valkey_password"] not in " ".join(cloud.valkey.part().command)
