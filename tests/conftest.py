"""Tests run against the real services that `./dev test` starts and names in the environment; drills start their own."""

import os

import pytest

SERVED = {"ENVFORGE_TEST_ADMIN_DATABASE_URL", "ENVFORGE_DRILL_HOME"}


def pytest_configure(config: pytest.Config) -> None:
    if not SERVED & os.environ.keys():
        raise pytest.UsageError(
            "The tests need their services: run them by ./dev test (arguments are pytest's)."
        )
