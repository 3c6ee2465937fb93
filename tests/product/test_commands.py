"""Commands through the runtime boundary: they wake, run once, leave a receipt, and their output is kept for a while (W6, W9)."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from envforge import tenancy
from envforge.errors import Conflict, Invalid, NotAllowed, NotVisible
from envforge_protocol.host.commands import CommandRan, EndRun, Failure, Leased, RunCommand, RuntimeStarted
from envforge_protocol.host.runtimes import Health, Readiness, ServiceReadiness, StepRan
from hosts import outputs, queue
from hosts.models import HostCommand
from tests.product.branches import Branch
from tests.product.world import World
from workspaces import activity
from workspaces.command_names import name_of
from workspaces.models import CommandOutput, CommandRun, CommandType, Power, Wake
from workspaces.operations.commands import cancel_run, run_command
from workspaces.reconcile import commands


@pytest.fixture
def branch(world: World) -> Branch:
    return Branch(world)


def ask(branch: Branch, by: Any = None, **more: Any) -> CommandRun:
    given = {"service": "web", "type": CommandType.TEST, "name": "unit"} | more
    return run_command(
        actor=(by or branch.world.bob).as_actor(), org_id=branch.org_id, workspace_id=branch.id, **given
    )


def words(branch: Branch, *argv: str, **more: Any) -> CommandRun:
    return ask(branch, type=CommandType.AGENT, name="", argv=argv, **more)


def step(branch: Branch, run: CommandRun) -> None:
    commands.reconcile(branch.org_id, run.id)


def again(branch: Branch, run: CommandRun) -> CommandRun:
    with tenancy.enter(branch.org_id):
        return CommandRun.objects.get(id=run.id)


def leased(branch: Branch) -> Leased:
    [one] = [found for found in branch.lease(branch.vm_token) if isinstance(found.payload, RunCommand)]
    return one


def ran(**more: Any) -> CommandRan:
    given: dict[str, Any] = {"exit_status": 0, "duration_ms": 1500, "output_bytes": 0, "truncated": False}
    return CommandRan(**given | more)


def begun(branch: Branch, **more: Any) -> tuple[CommandRun, Leased]:
    """A test that its VM runs now."""
    branch.awake()
    run = ask(branch, **more)
    step(branch, run)
    return run, leased(branch)


def test_w6_a_command_wakes_the_runtime_and_is_sent_when_that_is_awake(branch: Branch) -> None:
    branch.approve()
    run = ask(branch)
    runtime = branch.runtime
    assert runtime.wanted == Power.AWAKE
    with tenancy.enter(branch.org_id):
        wake = Wake.objects.get(runtime=runtime)
    assert (wake.cause, wake.detail, wake.asked_by) == ("test", "web: unit", "Bob")
    step(branch, run)
    assert again(branch, run).sent_at is None
    branch.awake()
    step(branch, run)
    sent = leased(branch).payload
    assert isinstance(sent, RunCommand)
    assert sent.command == ("/bin/sh", "-c", "pytest -q")
    assert (sent.service, sent.account, sent.directory, sent.environment) == (
        "web",
        3,
        "web",
        {"LEVEL": "high"},
    )
    assert sent.timeout_s == 90
    step(branch, run)
    assert len(branch.asked("run_command", branch.vm)) == 1


def test_w9_a_receipt_says_who_what_when_how_long_and_how_it_ended(branch: Branch) -> None:
    run, one = begun(branch)
    branch.tell(one, branch.vm_token, outcome=ran(exit_status=3))
    done = again(branch, run)
    assert (done.asked_by, done.service, done.type, done.name) == ("Bob", "web", "test", "unit")
    assert (done.exit_status, done.duration_ms, done.trouble, done.due_at) == (3, 1500, "", None)
    assert branch.events("command.run") == [
        ("command.run", "Bob", {"command": "unit", "type": "test", "exit_status": 3, "duration_s": 1})
    ]


def test_w9_what_somebody_wrote_is_forgotten_when_it_was_run(branch: Branch) -> None:
    branch.awake()
    run = words(branch, "/bin/sh", "-c", "TOKEN=hunter2 curl -H hunter2 x")
    assert run.name == "curl"
    step(branch, run)
    assert again(branch, run).argv is None
    branch.tell(leased(branch), branch.vm_token, outcome=ran())
    with tenancy.enter(branch.org_id):
        kept = HostCommand.objects.get(kind="run_command")
        assert "hunter2" not in str(kept.payload) + str(kept.outcome)
    assert "hunter2" not in str(branch.events("command.run"))


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (("pytest", "-q"), "pytest"),
        (("/bin/sh", "-c", "A=1 B=2 make x"), "make"),
        (("sk_live_0123456789abcdef0123",), "command"),
        (("/bin/sh", "-c", "$(cat key)"), "command"),
        (("A=secret",), "command"),
    ],
)
def test_w9_a_written_commands_name_gives_nothing_away(argv: tuple[str, ...], name: str) -> None:
    assert name_of(argv) == name


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"service": "nope"}, "service"),
        ({"name": "nope"}, "name"),
        ({"type": CommandType.SERVICE, "name": "unit"}, "name"),
        ({"type": CommandType.SETUP}, "type"),
        ({"argv": ("x",)}, "argv"),
        ({"type": CommandType.AGENT, "name": ""}, "argv"),
        ({"type": CommandType.AGENT, "name": "", "argv": ("a\0b",)}, "argv"),
        ({"type": CommandType.AGENT, "name": "", "argv": ("a" * 20_000,)}, "argv"),
        ({"type": CommandType.AGENT, "name": "", "argv": ("a",), "timeout_s": 86_400}, "timeout_s"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_field(
    given: dict[str, Any], field: str, branch: Branch
) -> None:
    branch.approve()
    with pytest.raises(Invalid) as refused:
        ask(branch, **given)
    assert set(refused.value.fields) == {field}
    assert branch.runtime.wanted == Power.ASLEEP


def test_who_may_run_and_cancel(branch: Branch) -> None:
    branch.approve()
    run = ask(branch)
    with pytest.raises(NotAllowed):
        ask(branch, branch.world.vera)
    for person in (branch.world.mallory, branch.world.bill):
        with pytest.raises(NotVisible):
            ask(branch, person)
    where = {"org_id": branch.org_id, "workspace_id": branch.id, "run_id": run.id}
    with pytest.raises(NotAllowed):
        cancel_run(actor=branch.world.vera.as_actor(), **where)
    with pytest.raises(NotVisible):
        cancel_run(actor=branch.world.mallory.as_actor(), **where)


def test_a_workspace_runs_so_many_at_once(branch: Branch) -> None:
    branch.approve()
    for _ in range(20):
        ask(branch)
    with pytest.raises(Conflict, match="20 commands"):
        ask(branch)


def test_one_that_waits_is_cancelled_without_ever_running(branch: Branch) -> None:
    branch.approve()
    run = ask(branch)
    where = {"org_id": branch.org_id, "workspace_id": branch.id, "run_id": run.id}
    cancelled = cancel_run(actor=branch.world.alice.as_actor(), **where)
    assert cancelled.trouble == "Alice cancelled it before it ran."
    branch.awake()
    step(branch, run)
    assert branch.asked("run_command", branch.vm) == []
    assert len(branch.events("command.run")) == 1
    cancel_run(actor=branch.world.alice.as_actor(), **where)
    assert len(branch.events("command.run")) == 1
    assert branch.events("command.cancelled") == [
        ("command.cancelled", "Alice", {"command": "unit", "type": "test"})
    ]


def test_one_that_runs_is_ended_on_its_vm_which_tells_so(branch: Branch) -> None:
    run, one = begun(branch)
    where = {"org_id": branch.org_id, "workspace_id": branch.id, "run_id": run.id}
    assert cancel_run(actor=branch.world.alice.as_actor(), **where).finished_at is None
    [end] = [found.payload for found in branch.lease(branch.vm_token)]
    assert isinstance(end, EndRun)
    assert end.command_id == one.id
    branch.tell(one, branch.vm_token, outcome=ran(exit_status=143))
    done = again(branch, run)
    assert (done.exit_status, done.trouble) == (143, "Alice cancelled it.")
    assert [event[1] for event in branch.events("command.cancelled")] == ["Alice"]


def test_one_that_its_vm_has_not_taken_yet_is_taken_back(branch: Branch) -> None:
    branch.awake()
    run = ask(branch)
    step(branch, run)
    where = {"org_id": branch.org_id, "workspace_id": branch.id, "run_id": run.id}
    assert cancel_run(actor=branch.world.alice.as_actor(), **where).trouble == "Alice cancelled it."
    assert not [
        one for one in branch.lease(branch.vm_token) if one.payload.kind in {"run_command", "end_run"}
    ]


def test_w7_a_command_that_runs_or_waits_is_activity_until_its_end(branch: Branch) -> None:
    run, one = begun(branch)
    with tenancy.enter(branch.org_id):
        assert activity.runs_command(branch.runtime, timezone.now())
    branch.tell(one, branch.vm_token, outcome=ran())
    assert again(branch, run).finished_at
    with tenancy.enter(branch.org_id):
        assert not activity.runs_command(branch.runtime, timezone.now())


def test_a_sleep_ends_what_runs_and_what_waits(branch: Branch) -> None:
    run, one = begun(branch)
    waits = ask(branch)
    branch.asleep()
    commands.reconcile_all(branch.org_id, branch.id)
    assert again(branch, run).trouble == "The runtime fell asleep."
    assert "put to sleep" in again(branch, waits).trouble
    with tenancy.enter(branch.org_id):
        asked = HostCommand.objects.get(id=one.id)
        assert asked.failure is not None
        assert asked.failure["word"] == "withdrawn"


def test_w11_a_command_whose_vm_is_lost_says_so_and_is_not_run_twice(branch: Branch) -> None:
    run, _ = begun(branch)
    with tenancy.enter(branch.org_id):
        queue.withdraw_all(host_id=branch.vm.id, word="host_ended", sentence="gone")
    assert again(branch, run).trouble == "Its VM was lost while it ran. Run it again."
    step(branch, run)
    assert len(branch.asked("run_command", branch.vm)) == 1


def test_a_wake_that_fails_says_why_to_whoever_waits(branch: Branch) -> None:
    branch.approve()
    run = ask(branch)
    with tenancy.enter(branch.org_id):
        runtime = branch._runtime()
        runtime.wanted, runtime.observed, runtime.trouble = Power.ASLEEP, "failed", "web: No such file."
        runtime.sleep_at = None
        runtime.save()
    step(branch, run)
    assert again(branch, run).trouble == "The runtime did not wake: web: No such file."


@pytest.mark.parametrize(
    ("result", "trouble"),
    [
        ({"outcome": ran(exit_status=None)}, "It could not be started."),
        ({"outcome": ran(exit_status=143, timed_out=True)}, "It was ended after 90 s."),
        ({"failure": Failure(word="walls", sentence="The walls do not stand.")}, "The walls do not stand."),
    ],
)
def test_other_ends(result: dict[str, Any], trouble: str, branch: Branch) -> None:
    run, one = begun(branch)
    branch.tell(one, branch.vm_token, **result)
    assert again(branch, run).trouble == trouble


def test_output_is_kept_in_order_once_and_forgotten_in_time(branch: Branch) -> None:
    run, one = begun(branch)
    outputs.put(branch.vm_token, one.id, 0, b"hello ")
    outputs.put(branch.vm_token, one.id, 0, b"hello ")
    outputs.put(branch.vm_token, one.id, 6, b"world")
    assert again(branch, run).output_bytes == 11
    branch.tell(one, branch.vm_token, outcome=ran(output_bytes=11))

    def kept() -> bytes:
        with tenancy.enter(branch.org_id):
            return b"".join(bytes(part.data) for part in CommandOutput.objects.order_by("offset"))

    assert kept() == b"hello world"
    commands.sweep_output()
    assert kept() == b"hello world"
    with tenancy.enter(branch.org_id):
        old = timezone.now() - settings.COMMAND_OUTPUT_RETENTION - timedelta(minutes=1)
        CommandRun.objects.filter(id=run.id).update(asked_at=old, sent_at=old, finished_at=old)
    commands.sweep_output()
    assert kept() == b""
    gone = again(branch, run)
    assert gone.output_gone_at is not None
    assert (gone.exit_status, gone.output_bytes) == (0, 11)


def test_w9_setup_steps_leave_receipts_too(branch: Branch) -> None:
    branch.awake()
    [one] = branch.lease(branch.vm_token)
    steps = (
        StepRan(name="install", exit_status=0, duration_ms=2000),
        StepRan(name="migrate", exit_status=1, duration_ms=10),
    )
    ready = ServiceReadiness(
        name="web", contract_digest="x", health=Health.STOPPED, ready_ms=None, setup=steps
    )
    readiness = Readiness(epoch=branch.runtime.epoch, services=(ready,), ready_ms=None)
    branch.tell(one, branch.vm_token, outcome=RuntimeStarted(readiness=readiness))
    assert [(row.type, row.name, row.exit_status, row.asked_by) for row in branch.runs()] == [
        ("setup", "install", 0, "Alice"),
        ("setup", "migrate", 1, "Alice"),
    ]
    assert [row[1:] for row in branch.events("command.run")] == [
        ("EnvForge", {"command": "install", "type": "setup", "exit_status": 0, "duration_s": 2}),
        ("EnvForge", {"command": "migrate", "type": "setup", "exit_status": 1, "duration_s": 0}),
    ]
