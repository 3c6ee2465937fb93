"""Commands through the door: leased, extended, finished once; a VM names its own and no other's."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from subprocess import Popen
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from envforge import tenancy
from envforge_protocol.host.runtimes import ScopedCredential
from hosts import hooks, leases, overdue, queue
from hosts.hooks import CannotFill, Finished
from hosts.models import HostCommand
from tests.product.host_api.machines import Daemon, change, command, new_host, run, stop, want, workspace
from tests.product.world import World

LATER = timedelta(seconds=40)


def lose_lease(daemon: Daemon, command_id: object) -> None:
    """Time is moved, not slept."""
    held = command(daemon.host, command_id)  # type: ignore[arg-type]
    past = timezone.now() - timedelta(seconds=1)
    change(held, leased_until=past, due_at=queue.due_at(held, past))


def test_a_command_is_leased_extended_and_finished(daemon: Daemon) -> None:
    wanted = want(daemon.host, stop(workspace()))
    [leased] = daemon.poll()
    assert (leased.id, leased.attempt) == (wanted, 1)
    assert daemon.poll() == (), "what is leased is not leased again"
    answer = daemon.post(f"commands/{leased.id}/progress", {"lease": str(leased.lease), "step": "stopping"})
    assert answer.json() == {"lease_for_s": 30}
    assert daemon.done(leased).status_code == 204
    stored = command(daemon.host, wanted)
    assert stored.finished_at
    assert stored.outcome == {"kind": "stop_runtime", "ended": 0}
    assert daemon.poll() == ()


def test_asking_twice_by_one_key_is_one_command(daemon: Daemon) -> None:
    on_it = workspace()
    assert want(daemon.host, stop(on_it), key="stop-1") == want(daemon.host, stop(on_it), key="stop-1")
    [leased] = daemon.poll()
    daemon.done(leased)
    assert want(daemon.host, stop(on_it), key="stop-1") == leased.id, "also when it is over"
    assert daemon.poll() == ()


def test_what_is_rolled_back_is_not_asked(daemon: Daemon) -> None:
    with pytest.raises(ZeroDivisionError), tenancy.enter(daemon.host.org_id):
        queue.want(host_id=daemon.host.id, payload=stop(workspace()), key="gone", cause="test")
        raise ZeroDivisionError
    assert daemon.poll() == ()


def test_work_on_one_workspace_is_done_in_order_and_beside_that_of_others(daemon: Daemon) -> None:
    one, other = workspace("one"), workspace("other")
    first, second = want(daemon.host, stop(one, 1)), want(daemon.host, stop(one, 2))
    beside = want(daemon.host, stop(other))
    runs = [want(daemon.host, run(one)) for _ in range(2)]
    leased = daemon.poll()
    assert [each.id for each in leased] == [first, beside, *runs], "runs wait for nothing"
    assert daemon.poll() == ()
    daemon.done(leased[0])
    assert [each.id for each in daemon.poll()] == [second]


def test_a_lease_that_ran_out_is_given_again_and_the_old_one_is_told(daemon: Daemon) -> None:
    wanted = want(daemon.host, stop(workspace()))
    [first] = daemon.poll()
    lose_lease(daemon, wanted)
    [second] = daemon.poll()
    assert (second.id, second.attempt) == (wanted, 2)
    for answer in (
        daemon.post(f"commands/{wanted}/progress", {"lease": str(first.lease)}),
        daemon.done(first),
    ):
        assert (answer.status_code, answer.json()["word"]) == (409, "lease_lost")
    assert daemon.done(second).status_code == 204


def test_a_result_is_recorded_once(daemon: Daemon, heard: list[Finished]) -> None:
    want(daemon.host, stop(workspace()))
    [leased] = daemon.poll()
    assert [daemon.done(leased).status_code for _ in range(3)] == [204, 204, 204]
    assert daemon.done(leased, ended=4).status_code == 409, "another result is not the same result"
    failure = {"lease": str(leased.lease), "failure": {"word": "broke", "sentence": "It broke."}}
    assert daemon.post(f"commands/{leased.id}/result", failure).status_code == 409
    assert [one.command.id for one in heard] == [leased.id]
    assert heard[0].outcome is not None


def test_a_late_result_counts_if_it_says_the_same(daemon: Daemon) -> None:
    wanted = want(daemon.host, stop(workspace()))
    [first] = daemon.poll()
    lose_lease(daemon, wanted)
    [second] = daemon.poll()
    assert daemon.done(second).status_code == 204
    assert daemon.done(first).status_code == 204
    assert daemon.done(first, ended=1).status_code == 409


def test_a_result_of_another_kind_or_of_both_kinds_is_refused(daemon: Daemon) -> None:
    want(daemon.host, stop(workspace()))
    [leased] = daemon.poll()
    lease = {"lease": str(leased.lease)}
    outcome = {"kind": "drop_root"}
    failure = {"word": "broke", "sentence": "It broke."}
    for body in (
        {**lease, "outcome": outcome},
        lease,
        {**lease, "outcome": {"kind": "stop_runtime"}, "failure": failure},
    ):
        assert daemon.post(f"commands/{leased.id}/result", body).status_code == 422
    assert command(daemon.host, leased.id).finished_at is None


def test_what_is_never_finished_is_given_up_with_words(daemon: Daemon, heard: list[Finished]) -> None:
    wanted = want(daemon.host, stop(workspace()), most_attempts=2)
    for _ in range(2):
        assert len(daemon.poll()) == 1
        lose_lease(daemon, wanted)
    assert daemon.poll() == ()
    [ended] = heard
    assert ended.failure is not None
    assert (ended.failure.word, ended.attempts) == ("lease_lost", 2)
    assert "2 times" in ended.failure.sentence


def test_what_nobody_does_in_time_expires_for_a_silent_vm_too(
    world: World, daemon: Daemon, heard: list[Finished]
) -> None:
    wanted = want(daemon.host, stop(workspace()), expires_in=timedelta(seconds=-1))
    overdue.sweep()
    assert [one.failure.word for one in heard if one.failure] == ["expired"]
    assert command(daemon.host, wanted).finished_at
    change(command(daemon.host, wanted), due_at=timezone.now())
    overdue.sweep()
    with tenancy.enter(world.acme.id):
        assert not HostCommand.objects.filter(id=wanted).exists(), "what is long over is forgotten"


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The transactions in which commands were told to be over; one workspace's receiver breaks."""
    seen: list[str] = []

    def hear(ended: Finished) -> None:
        if ended.command.cause == "breaks":
            raise ZeroDivisionError
        with connection.cursor() as cursor:
            cursor.execute("SELECT txid_current()")
            seen.append(str(cursor.fetchone()[0]))

    monkeypatch.setattr(hooks, "_results", {"stop_runtime": [hear]})
    return seen


def test_each_command_is_given_up_in_a_transaction_of_its_own(daemon: Daemon, apart: list[str]) -> None:
    """Who hears of one locks its workspace: two of them in one transaction could each wait for the other's."""
    for _ in range(3):
        want(daemon.host, stop(workspace()), expires_in=timedelta(seconds=-1))
    assert daemon.poll() == ()
    assert len(set(apart)) == 3
    apart.clear()
    broken = want(daemon.host, stop(workspace()), expires_in=timedelta(seconds=-1))
    change(command(daemon.host, broken), cause="breaks")
    for _ in range(3):
        want(daemon.host, stop(workspace()), expires_in=timedelta(seconds=-1))
    overdue.sweep()
    assert len(set(apart)) == 3, "one that breaks keeps none of the others"
    assert command(daemon.host, broken).finished_at is None
    wanted = want(daemon.host, stop(workspace()))
    assert [one.id for one in daemon.poll()] == [wanted], "nor does it keep the VM from what it is to do"
    assert command(daemon.host, broken).finished_at is None


def test_a_poll_gives_up_only_so_many(daemon: Daemon, apart: list[str]) -> None:
    for _ in range(leases.MOST_GIVEN_UP + 5):
        want(daemon.host, stop(workspace()), expires_in=timedelta(seconds=-1))
    assert daemon.poll() == ()
    assert len(apart) == leases.MOST_GIVEN_UP
    assert daemon.poll() == (), "what is overdue is not leased meanwhile"
    assert len(apart) == leases.MOST_GIVEN_UP + 5


def test_what_is_withdrawn_is_over_for_who_does_it(daemon: Daemon, heard: list[Finished]) -> None:
    want(daemon.host, stop(workspace()), key="mistake")
    [leased] = daemon.poll()
    with tenancy.enter(daemon.host.org_id):
        assert queue.withdraw(host_id=daemon.host.id, key="mistake", cause="not wanted any more")
        assert not queue.withdraw(host_id=daemon.host.id, key="mistake", cause="not wanted any more")
    assert daemon.done(leased).status_code == 409
    assert [one.failure.word for one in heard if one.failure] == ["withdrawn"]


def test_h4_a_replaced_vm_is_not_heard_and_its_commands_are_given_up(
    daemon: Daemon, heard: list[Finished]
) -> None:
    want(daemon.host, stop(workspace()))
    [leased] = daemon.poll()
    change(daemon.host, generation=2)
    assert daemon.done(leased).status_code == 401
    assert daemon.get("commands?wait_s=0").status_code == 401
    successor = Daemon(daemon.address, daemon.host)
    assert successor.poll() == ()
    assert [one.failure.word for one in heard if one.failure] == ["host_replaced"]
    assert successor.done(leased).status_code == 404


def test_n1_a_vm_of_another_organization_has_none_of_these_commands(
    daemon: Daemon, stranger: Daemon, world: World
) -> None:
    wanted = want(daemon.host, run(workspace()))
    neighbour = Daemon(daemon.address, new_host(world.acme))
    assert stranger.poll() == ()
    assert neighbour.poll() == ()
    [leased] = daemon.poll()
    assert leased.id == wanted
    for other in (stranger, neighbour):
        answers = [
            other.done(leased, exit_status=0, duration_ms=1, output_bytes=0, truncated=False),
            other.post(f"commands/{leased.id}/progress", {"lease": str(leased.lease)}),
            other.post(f"runs/{leased.id}/output?offset=0", b"x"),
        ]
        unknown = other.post(f"commands/{uuid4()}/progress", {"lease": str(leased.lease)})
        assert [answer.status_code for answer in (*answers, unknown)] == [404] * 4
        told, untold = answers[1].json(), unknown.json()
        assert told | {"request_id": ""} == untold | {"request_id": ""}, "as if there were none (I5)"
    assert command(daemon.host, wanted).finished_at is None


def filled_by(fill: Any) -> None:
    hooks._fillers["run_command"] = []
    hooks.on_lease("run_command", fill)


def test_k2_credentials_are_put_in_when_leased_and_stored_nowhere(daemon: Daemon, filled: None) -> None:
    canary = "canary-credential-7d1f"
    credential = ScopedCredential(
        arns=("arn:x",),
        access_key_id="ASIAEXAMPLE",
        secret_access_key=canary,  # type: ignore[arg-type]
        session_token=canary,  # type: ignore[arg-type]
        expires_at=timezone.now(),
    )
    payload = run(workspace())
    with pytest.raises(ValueError, match=r"run_command\.credentials.*K2"):
        want(daemon.host, payload.model_copy(update={"credentials": (credential,)}))
    filled_by(lambda _, asked: asked.model_copy(update={"credentials": (credential,)}))
    wanted = want(daemon.host, payload)
    answer = daemon.get("commands?wait_s=0")
    assert answer.text.count(canary) == 2
    stored = command(daemon.host, wanted)
    assert canary not in repr(vars(stored))
    lose_lease(daemon, wanted)
    assert canary in daemon.get("commands?wait_s=0").text, "and again the next time"


def test_k2_what_cannot_be_filled_fails_or_waits(daemon: Daemon, filled: None, heard: list[Finished]) -> None:
    from envforge.errors import Unavailable

    def away(*_: object) -> None:
        raise Unavailable("STS does not answer.")

    def never(*_: object) -> None:
        raise CannotFill("secret_missing", "The secret DATABASE_URL was deleted. Bind another one.")

    filled_by(away)
    wanted = want(daemon.host, run(workspace()))
    assert daemon.poll() == ()
    waiting = command(daemon.host, wanted)
    assert (waiting.attempts, waiting.lease) == (0, None)
    assert waiting.not_before > timezone.now()
    change(waiting, not_before=timezone.now())
    filled_by(never)
    assert daemon.poll() == ()
    assert [one.failure.word for one in heard if one.failure] == ["secret_missing"]


def test_w11_a_web_process_killed_between_lease_and_answer_loses_nothing(
    daemon: Daemon, web_process: Callable[[], tuple[str, Popen[bytes]]]
) -> None:
    """The first process leases and is killed before anything was sent; another gives the command again."""
    address, process = web_process()
    doomed = Daemon(address, daemon.host, daemon.boot_id, daemon.token)
    assert doomed.poll() == ()
    answers: list[object] = []

    def poll() -> None:
        try:
            answers.append(doomed.poll(wait_s=25))
        except Exception as error:  # noqa: BLE001
            answers.append(error)

    waiting = threading.Thread(target=poll)
    waiting.start()
    time.sleep(0.5)
    # It stops here as it would in any long pause; what it leases, it cannot send.
    process.send_signal(19)
    wanted = want(daemon.host, stop(workspace()))
    with tenancy.enter(daemon.host.org_id):
        # As the process would have leased it, had it been killed right after.
        HostCommand.objects.filter(id=wanted).update(
            lease=uuid4(), leased_until=timezone.now() + timedelta(seconds=30), attempts=1
        )
    process.kill()
    waiting.join(timeout=20)
    assert isinstance(answers[0], Exception)
    assert daemon.poll() == (), "it is still leased to the one that is dead"
    lose_lease(daemon, wanted)
    [leased] = daemon.poll()
    assert (leased.id, leased.attempt) == (wanted, 2)
    assert daemon.done(leased).status_code == 204
