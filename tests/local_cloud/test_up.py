"""./dev up, whole: everything answers, a second one is refused, and Ctrl-C leaves nothing behind."""

import json
import os
import signal
import urllib.request

import psycopg
import pytest

from local_cloud.cloud import running
from local_cloud.home import Home
from tests.local_cloud.test_commands import finish, leftovers, start
from tests.local_cloud.test_supervisor import eventually


def test_up_serves_refuses_a_second_and_ends_with_all_it_started(home: Home) -> None:
    pytest.importorskip("local_cloud.seed")
    up = start(home, "up")
    assert up.stdout is not None
    said = ""
    for line in up.stdout:
        said += line
        if "Ctrl-C stops everything" in line:
            break
    else:
        pytest.fail(said)
    cloud = running(home, {})
    assert cloud is not None
    assert f"Console    {cloud.console_url}" in said
    assert "alice" in said
    assert f"Mail       {cloud.mail_url}" in said
    assert "VMs        ./dev vm list" in said
    with urllib.request.urlopen(f"{cloud.console_url}/health/ready", timeout=10) as answer:  # noqa: S310
        assert json.load(answer)["ready"] is True

    code, refusal = finish(start(home, "up"))
    assert code == 1
    assert f"already runs here at {cloud.console_url}" in refusal

    with psycopg.connect(cloud.database_url("owner")) as owner:
        owner.execute("CREATE TABLE public.kept_over_restarts ()")

    code, listed = finish(start(home, "manage", "showmigrations", "orgs"))
    assert code == 0
    assert "[X] 0001" in listed

    parts = json.loads((home.run / "parts.json").read_text())
    assert set(parts) == {
        "postgres",
        "valkey",
        "aws",
        "issuer",
        "mail",
        "git",
        "web",
        "worker",
        "beat",
        "sealer",
        "vms",
        "gateway",
    }
    os.kill(parts["web"]["pid"], signal.SIGKILL)
    eventually(
        lambda: json.loads((home.run / "parts.json").read_text()).get("web", parts["web"]) != parts["web"]
    )

    up.send_signal(signal.SIGINT)
    code, last = finish(up)
    assert code == 0
    assert "Console and API stopped by itself (by signal SIGKILL)" in last
    assert last.rstrip().endswith("The state is kept; ./dev up continues from it.")
    assert not leftovers(home)
    assert running(home, {}) is None
