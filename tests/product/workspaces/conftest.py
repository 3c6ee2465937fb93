"""Workspaces under test, with time that tests move."""

import pytest

from tests.product.hosts.conftest import Clock, clock
from tests.product.workspaces.desk import Desk
from tests.product.world import World

__all__ = ["clock"]  # a fixture


@pytest.fixture
def desk(world: World, clock: Clock) -> Desk:
    return Desk(world, clock)
