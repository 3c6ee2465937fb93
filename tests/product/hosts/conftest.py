"""Time that tests move, and a drive that plays the VM's daemon and the passing of sweeps."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from hosts import changes
from hosts.changes import HostChange
from tests.product.hosts.fleet import Fleet
from tests.product.world import World


class Clock:
    """The product's clock, some time ahead of the machine's."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self._real = timezone.now

    def now(self) -> datetime:
        return self._real() + self.ahead

    def pass_(self, **units: float) -> None:
        self.ahead += timedelta(**units)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock.now)
    return clock


@pytest.fixture
def fleet(world: World, clock: Clock) -> Fleet:
    return Fleet(world.acme.id, clock)


@pytest.fixture
def told() -> Iterator[list[HostChange]]:
    """What listeners are told."""
    heard: list[HostChange] = []
    changes.on_host_change(heard.append)
    yield heard
    changes._listeners.remove(heard.append)
