"""The VM's program and the control plane, both real (H4, W11)."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from envforge import tenancy
from envforge_daemon.config import Config
from envforge_daemon.isolation import leftovers
from hosts import hooks
from hosts.hooks import Finished
from hosts.models import HostToken, HostVoice
from tests.product.host_api.machines import change, command, place, run, stop, want, workspace
from tests.product.host_api.newcomers import Newcomer
from tests.product.host_api.programs import Metadata, Run, Seen, configuration, parts, until


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ef-", dir="/var/tmp") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@pytest.fixture
def settings_of(newcomer: Newcomer, root: Path) -> Iterator[dict[str, Any]]:
    """The configuration of the newcomer's VM."""
    metadata = Metadata(newcomer)
    with override_settings(HOST_API_HOST="127.0.0.1", HOST_API_URL=newcomer.address):
        yield configuration(newcomer, metadata, root, owner_pid=os.getpid())
    metadata.end()
    if os.geteuid() == 0:
        config = Config.model_validate(configuration(newcomer, metadata, root))
        asyncio.run(leftovers.remove(config.tag, config.group))


@pytest.fixture
def start(settings_of: dict[str, Any]) -> Iterator[Callable[[Seen], Run]]:
    """Starts runs of the program, and ends them."""
    runs: list[Run] = []

    def begin(seen: Seen) -> Run:
        runs.append(Run(Config.model_validate(settings_of), parts(seen)))
        return runs[-1]

    yield begin
    for one in runs:
        one.end()


def heard_of(newcomer: Newcomer) -> int:
    with tenancy.enter(newcomer.host.org_id):
        return sum(HostVoice.objects.filter(host=newcomer.host).values_list("sequence", flat=True))


def test_h4_it_joins_beats_and_does_what_it_is_asked(
    newcomer: Newcomer, start: Callable[[Seen], Run], heard: list[Finished]
) -> None:
    """H4: joined by its role's signature; then a command, its result, and the report it caused."""
    told: list[Any] = []
    hooks.on_report("root_ended", lambda actor, report: told.append(report.body))
    seen = Seen()
    seen.go_on.set()
    start(seen)
    until(lambda: heard_of(newcomer) > 0)
    on_it = workspace()
    place(newcomer.host, on_it)
    wanted = want(newcomer.host, stop(on_it))
    until(lambda: [one for one in heard if one.command.id == wanted])
    assert seen.ended == [wanted]
    until(lambda: [body for body in told if body.request_id == wanted])


def test_a_fault_of_ours_ends_one_command_with_a_sentence(
    newcomer: Newcomer, start: Callable[[Seen], Run], heard: list[Finished], caplog: pytest.LogCaptureFixture
) -> None:
    """The next command is done; what the fault's text held (here a command line) is in no log and no answer."""
    seen = Seen()
    seen.go_on.set()
    start(seen)
    asked = run(workspace()).model_copy(update={"command": ("deploy", "--token=hunter2")})
    failed, done = want(newcomer.host, asked, most_attempts=1), want(newcomer.host, stop(workspace()))
    until(lambda: {one.command.id for one in heard} >= {failed, done})
    (told,) = [one for one in heard if one.command.id == failed]
    assert told.failure is not None
    assert told.failure.word == "fault"
    assert "hunter2" not in str(told.failure) + caplog.text


def test_w11_a_command_that_is_leased_again_is_not_begun_again(
    newcomer: Newcomer, start: Callable[[Seen], Run], heard: list[Finished]
) -> None:
    """W11: the lease runs out while it is being done; the second delivery goes on with the first doing."""
    seen = Seen()
    start(seen)
    wanted = want(newcomer.host, stop(workspace()))
    # Its step is told first: later it would extend the lease.
    until(lambda: command(newcomer.host, wanted).step == "waiting")
    change(command(newcomer.host, wanted), leased_until=timezone.now() - timedelta(seconds=1))
    until(lambda: command(newcomer.host, wanted).attempts >= 2, within_s=60)
    seen.go_on.set()
    until(lambda: [one for one in heard if one.command.id == wanted])
    assert seen.began == [wanted]


def test_w11_a_result_that_was_not_taken_is_told_by_the_next_run(
    newcomer: Newcomer,
    start: Callable[[Seen], Run],
    settings_of: dict[str, Any],
    heard: list[Finished],
    root: Path,
) -> None:
    """W11: the program dies between doing and telling; the kept result is the answer, and nothing is done twice."""
    wanted = want(newcomer.host, stop(workspace()))
    kept = root / "state" / "daemon" / "results"
    kept.mkdir(parents=True, mode=0o700)
    (kept / f"{wanted}.json").write_text(json.dumps({"outcome": {"kind": "stop_runtime", "ended": 7}}))
    seen = Seen()
    start(seen)
    (told,) = until(lambda: [one for one in heard if one.command.id == wanted])
    assert told.outcome is not None
    assert told.outcome.ended == 7
    assert seen.began == []
    until(lambda: not list(kept.iterdir()))


def test_h4_a_token_that_works_no_longer_leads_to_a_new_join(
    newcomer: Newcomer, start: Callable[[Seen], Run], heard: list[Finished]
) -> None:
    """H4: on 401 it proves itself again, and goes on."""
    seen = Seen()
    seen.go_on.set()
    start(seen)
    until(lambda: heard_of(newcomer) > 0)
    with tenancy.enter(newcomer.host.org_id):
        HostToken.objects.filter(host=newcomer.host).delete()
    wanted = want(newcomer.host, stop(workspace()))
    until(lambda: [one for one in heard if one.command.id == wanted], within_s=60)


def test_h4_it_signs_for_its_own_control_plane_alone(
    newcomer: Newcomer, start: Callable[[Seen], Run], caplog: pytest.LogCaptureFixture
) -> None:
    """H4: one that hands on another's nonce gets no signature to hand on."""
    with override_settings(HOST_API_URL="https://elsewhere.example"):
        start(Seen())
        until(lambda: "names itself https://elsewhere.example" in caplog.text)
        assert heard_of(newcomer) == 0


def test_sigterm_ends_it_cleanly_and_it_says_what_is_wrong(
    settings_of: dict[str, Any], newcomer: Newcomer, root: Path
) -> None:
    """As systemd runs it: no token or key in its log, exit status 0; a configuration it cannot use is named, status 78."""
    file = root / "host.json"
    file.write_text(json.dumps(settings_of))
    command_line = [sys.executable, "-m", "envforge_daemon", "--config", str(file)]
    with subprocess.Popen(command_line, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: heard_of(newcomer) > 0)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    assert process.returncode == 0, log
    assert "ending; services go on" in log
    for secret in (newcomer.credentials.secret_key, newcomer.credentials.token, "Bearer"):
        assert str(secret) not in log

    file.write_text(json.dumps(settings_of | {"generation": 0, "surprise": 1}))
    refused = subprocess.run(command_line, stderr=subprocess.PIPE, text=True, timeout=20, check=False)
    assert refused.returncode == 78
    assert "generation" in refused.stderr
    assert "surprise" in refused.stderr
