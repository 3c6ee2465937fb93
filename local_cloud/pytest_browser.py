"""Reports browser tests as not run where ./dev test found no browser."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what carries the `browser` mark if ENVFORGE_NO_BROWSER is set."""
    if not os.environ.get("ENVFORGE_NO_BROWSER"):
        return
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason="not run: no Chromium on this machine"))
