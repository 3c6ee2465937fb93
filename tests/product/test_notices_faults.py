"""Whatever is away or dies, a notice arrives, at most one letter twice and then recognisably; or its failure is told."""

import subprocess
import sys
from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from envforge import notify, tenancy
from envforge.ids import uuid7
from envforge.notify import LinkTo, Notice, ToPerson
from notices import reconcile
from notices.models import Email
from notices.reconcile import MAX_ATTEMPTS, Step
from orgs.models import Membership, Person, RoleGrant
from orgs.roles import Role
from tests.issuer.conftest import free_port
from tests.product import invitations
from tests.product.mail import Killing, Refusing, mail_server, received
from tests.product.outbox import change, failures, invite, make_due, other_process, row, say_removed
from tests.product.world import World


def ask_for_approval(world: World, person: Person) -> UUID:
    with tenancy.enter(world.acme.id):
        link = LinkTo(invitations.SOURCE, uuid7())
        return notify.notify(
            Notice.APPROVAL_REQUESTED, to=ToPerson(person.id), link=link, what="A contract", requester="Bob"
        )


TELLS = """
import sys, uuid, django
django.setup()
from envforge import notify, tenancy
with tenancy.enter(uuid.UUID(sys.argv[1])):
    print(notify.notify(notify.Notice.MEMBER_REMOVED, to=notify.ToAddress(sys.argv[2]), remover="Alice"))
"""


def test_with_the_broker_away_the_sweep_sends_it(world: World) -> None:
    address = f"carol@{world.tag}.test"
    environment = other_process() | {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0"}
    command = [sys.executable, "-c", TELLS, str(world.acme.id), address]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "nudge.lost" in done.stderr
    assert received(address) == []
    reconcile.sweep()
    assert len(received(address)) == 1
    assert row(world, UUID(done.stdout.strip())).sent_at


def test_with_the_mail_server_away_it_is_tried_later_and_then_sent(world: World) -> None:
    address = f"carol@{world.tag}.test"
    email_id = say_removed(world, address)
    with override_settings(EMAIL_PORT=free_port()):
        assert reconcile.send(world.acme.id, email_id) is Step.SERVER_AWAY
    waiting = row(world, email_id)
    assert (waiting.attempts, waiting.last_error, waiting.sent_at) == (1, "unreachable", None)
    assert timedelta(0) < waiting.due_at - timezone.now() <= timedelta(minutes=1)
    assert reconcile.send(world.acme.id, email_id) is Step.NOTHING_DUE
    make_due(world, email_id)
    assert reconcile.sweep() >= 1
    assert len(received(address)) == 1
    assert failures(world) == []


def test_while_the_server_is_away_a_sweep_spends_one_attempt_and_not_everybodys(world: World) -> None:
    reconcile.sweep()
    emails = [say_removed(world, f"carol-{number}@{world.tag}.test") for number in range(3)]
    with override_settings(EMAIL_PORT=free_port()):
        assert reconcile.sweep() == 1
    assert sum(row(world, email_id).attempts for email_id in emails) == 1


def test_waits_grow_to_six_hours_and_end_within_two_days() -> None:
    delays = [reconcile._delay(attempts) for attempts in range(1, MAX_ATTEMPTS + 1)]
    assert delays == sorted(delays)
    assert (delays[0], delays[-1]) == (timedelta(minutes=1), timedelta(hours=6))
    assert timedelta(hours=20) < sum(delays, timedelta()) < timedelta(hours=48)


DIES = """
import sys, uuid, django
django.setup()
from notices import reconcile
reconcile.send(uuid.UUID(sys.argv[1]), uuid.UUID(sys.argv[2]))
"""


def test_killed_between_accepting_and_recording_it_comes_twice_with_one_message_id(world: World) -> None:
    email_id = say_removed(world, f"carol@{world.tag}.test")
    server = Killing()
    with mail_server(server) as port:
        environment = other_process() | {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
        command = [sys.executable, "-c", DIES, str(world.acme.id), str(email_id)]
        with subprocess.Popen(command, env=environment) as process:
            server.sender = process.pid
        assert process.returncode == -9
        assert row(world, email_id).sent_at is None
        assert reconcile.send(world.acme.id, email_id) is Step.NOTHING_DUE
        server.sender = None
        make_due(world, email_id)
        with override_settings(EMAIL_PORT=port):
            assert reconcile.send(world.acme.id, email_id) is Step.SENT
            assert reconcile.send(world.acme.id, email_id) is Step.NOTHING_DUE
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">")
    assert server.message_ids == [f"<{email_id}@{domain}>"] * 2


@pytest.mark.parametrize(
    "server",
    [
        Refusing(recipient="550 5.1.1 No such user carol"),
        Refusing(data="554 5.7.1 Looks like spam to carol"),
    ],
    ids=["recipient", "data"],
)
def test_a_refusal_for_good_ends_it_and_is_told_in_one_word(world: World, server: Refusing) -> None:
    address = f"carol@{world.tag}.test"
    email_id = say_removed(world, address)
    with mail_server(server) as port, override_settings(EMAIL_PORT=port):
        assert reconcile.send(world.acme.id, email_id) is Step.GIVEN_UP
        assert reconcile.send(world.acme.id, email_id) is Step.NOTHING_DUE
    ended = row(world, email_id)
    assert (ended.last_error, ended.sent_at) == ("rejected", None)
    assert ended.given_up_at
    assert failures(world) == [(address, {"notice": "member_removed", "reason": "rejected", "attempts": 1})]


def test_a_refusal_for_now_is_tried_again(world: World) -> None:
    email_id = say_removed(world, f"carol@{world.tag}.test")
    with mail_server(Refusing(recipient="451 4.7.1 Greylisted")) as port, override_settings(EMAIL_PORT=port):
        assert reconcile.send(world.acme.id, email_id) is Step.LATER
    assert row(world, email_id).last_error == "deferred"
    make_due(world, email_id)
    assert reconcile.send(world.acme.id, email_id) is Step.SENT


def test_after_its_last_attempt_it_is_given_up_and_told(world: World) -> None:
    email_id = say_removed(world, world.bob.id)
    change(world, email_id, attempts=MAX_ATTEMPTS - 1)
    with override_settings(EMAIL_PORT=free_port()):
        assert reconcile.send(world.acme.id, email_id) is Step.GIVEN_UP
    facts = {"notice": "member_removed", "reason": "unreachable", "attempts": MAX_ATTEMPTS}
    assert failures(world) == [("Bob", facts)]


def test_one_that_kills_its_worker_every_time_ends_too(world: World) -> None:
    email_id = say_removed(world, world.bob.id)
    change(world, email_id, attempts=MAX_ATTEMPTS)
    assert reconcile.send(world.acme.id, email_id) is Step.GIVEN_UP
    assert failures(world)[0][1]["reason"] == "interrupted"
    assert received(world.bob.email) == []


def test_two_workers_do_not_take_the_same_attempt(world: World) -> None:
    address = f"carol@{world.tag}.test"
    email_id = say_removed(world, address)
    with tenancy.enter(world.acme.id):
        Email.objects.select_for_update().get(id=email_id)
        other = connection.copy()
        try:
            with other.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SELECT set_config('envforge.org_id', %s, true)", [str(world.acme.id)])
                cursor.execute(
                    "SELECT id FROM notices_email WHERE id = %s FOR UPDATE SKIP LOCKED", [email_id]
                )
                assert cursor.fetchall() == []
        finally:
            other.close()
    assert reconcile.send(world.acme.id, email_id) is Step.SENT


def test_without_a_mail_server_nothing_is_sent_and_nothing_is_lost(world: World) -> None:
    address = f"carol@{world.tag}.test"
    email_id = say_removed(world, address)
    with override_settings(MAIL_SERVER=None):
        assert reconcile.send(world.acme.id, email_id) is Step.SERVER_AWAY
    assert row(world, email_id).last_error == "not_configured"
    make_due(world, email_id)
    assert reconcile.send(world.acme.id, email_id) is Step.SENT


def test_a_withdrawn_invitation_is_not_sent_and_its_end_is_nobodys_failure(world: World) -> None:
    address, invitation_id = f"carol@{world.tag}.test", uuid7()
    email_id = invite(world, address, invitation_id)
    invitations.withdrawn.add(invitation_id)
    assert reconcile.send(world.acme.id, email_id) is Step.GIVEN_UP
    assert row(world, email_id).last_error == "withdrawn"
    assert received(address) == []
    assert failures(world) == []


def test_what_is_for_members_reaches_no_former_one(world: World) -> None:
    email_id = ask_for_approval(world, world.adam)
    with tenancy.enter(world.acme.id):
        RoleGrant.objects.filter(membership__person=world.adam).delete()
        Membership.objects.filter(person=world.adam).delete()
    assert reconcile.send(world.acme.id, email_id) is Step.GIVEN_UP
    assert received(world.adam.email) == []
    assert failures(world) == []


def test_n2_only_a_verified_address_is_written_to_and_the_one_of_now(world: World) -> None:
    unverified = ask_for_approval(world, world.member("Una", Role.ADMIN))
    Person.objects.filter(name="Una", subject__endswith=world.tag).update(email_verified=False)
    assert reconcile.send(world.acme.id, unverified) is Step.GIVEN_UP
    assert [facts["reason"] for _, facts in failures(world)] == ["address_not_verified"]
    moved = ask_for_approval(world, world.adam)
    Person.objects.filter(id=world.adam.id).update(email=f"new@{world.tag}.test")
    assert reconcile.send(world.acme.id, moved) is Step.SENT
    assert len(received(f"new@{world.tag}.test")) == 1
    assert received(f"una@{world.tag}.test") == received(f"adam@{world.tag}.test") == []


def test_a_row_goes_a_month_after_its_end(world: World) -> None:
    email_id = say_removed(world, f"carol@{world.tag}.test")
    reconcile.send(world.acme.id, email_id)
    assert timedelta(days=29) < row(world, email_id).due_at - timezone.now() < timedelta(days=31)
    make_due(world, email_id)
    assert reconcile.send(world.acme.id, email_id) is Step.FORGOTTEN
    with tenancy.enter(world.acme.id):
        assert not Email.objects.filter(id=email_id).exists()


def test_one_that_cannot_be_written_does_not_keep_the_others(world: World) -> None:
    reconcile.sweep()
    broken, good = say_removed(world, f"a@{world.tag}.test"), say_removed(world, f"b@{world.tag}.test")
    change(world, broken, kind="unheard_of")
    reconcile.sweep()
    assert row(world, good).sent_at
    assert row(world, broken).attempts == 1


def test_the_sweep_reads_what_is_due_by_an_index(world: World) -> None:
    """Its cost grows with what is due (DESIGN 1)."""
    assert world.acme
    with tenancy.enter(world.acme.id), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM notices_email WHERE org_id = %s AND due_at <= now() ORDER BY due_at LIMIT 50",
            [world.acme.id],
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "notices_email_org_due" in plan
