"""Tests run against the real services that `./dev test` starts and names in the environment."""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if "ENVFORGE_TEST_ADMIN_DATABASE_URL" not in os.environ:
        raise pytest.UsageError(
            "The tests need their services: run them by ./dev test (arguments are pytest's)."
        )
