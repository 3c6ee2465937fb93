"""Tests run against the real services that `./dev test` starts and names in the environment; drills start their own."""

import os
from typing import Any

import pytest

SERVED = {"ENVFORGE_TEST_ADMIN_DATABASE_URL", "ENVFORGE_DRILL_HOME"}


def pytest_configure(config: pytest.Config) -> None:
    if not SERVED & os.environ.keys():
        raise pytest.UsageError(
            "The tests need their services: run them by ./dev test (arguments are pytest's)."
        )


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line on who gets what at every address (`test_every_url.py`); with -rA or -v, the table."""
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    rows = [value for report in reports for name, value in report.user_properties if name == "reach"]
    if not rows:
        return
    from tests.product.answers import VISITORS

    answers = sum(len(statuses) for *_, statuses in rows)
    terminalreporter.write_sep("-", "every address, as every visitor")
    terminalreporter.line(f"{len(rows)} rows, {len(VISITORS)} visitors, {answers} answers; the table: -rA")
    if "A" not in terminalreporter.reportchars and config.get_verbosity() < 1:
        return
    named = {(host, label, address) for host, label, address, _ in rows}
    wide = max(len(f"{label} {address}") for _, label, address in named)
    for host in dict.fromkeys(host for host, *_ in rows):
        head = " ".join(f"{name:>9}" for name in VISITORS)
        terminalreporter.line(f"{host:<{wide}} {head}")
        for at, label, address, statuses in rows:
            if at == host:
                said = " ".join(f"{status:>9}" for status in statuses)
                terminalreporter.line(f"{f'{label} {address}':<{wide}} {said}")
