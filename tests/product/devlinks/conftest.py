"""The control plane as gateways meet it."""

import pytest

from tests.product.devlinks.yard import Gateway, Yard
from tests.product.host_api.conftest import address
from tests.product.hosts.conftest import clock
from tests.product.world import World

__all__ = ["address", "clock"]  # fixtures


@pytest.fixture
def yard(world: World) -> Yard:
    return Yard(world)


@pytest.fixture
def strangers(world: World) -> Yard:
    """Mallory's own, in Mallet."""
    return Yard(world, world.mallet, world.mallory)


@pytest.fixture
def gateway(address: str) -> Gateway:
    return Gateway(address).register()
