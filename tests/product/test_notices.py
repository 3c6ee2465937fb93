"""Notices by e-mail: told with what causes them, sent once, in words nobody else chose, and never with a stored link."""

import json
import logging
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import transaction
from django.test import override_settings

from audit.facts import FactRefused
from envforge import notify, tenancy
from envforge.errors import TenancyError
from envforge.ids import uuid7
from envforge.notify import LinkTo, Notice, ToAddress, ToPerson
from notices import reconcile
from notices.kinds import KINDS
from notices.lookups import organizations_with_due_email
from notices.models import Email
from notices.outbox import NoticeRefused
from notices.reconcile import Step
from notices.words import readable, unlinkable
from orgs import operations
from tests.issuer.conftest import free_port
from tests.product import invitations
from tests.product.mail import received
from tests.product.outbox import EXPIRES_AT, invite, make_due, other_process, row, say_removed
from tests.product.world import World


def broker() -> "redis.Redis":
    return redis.Redis.from_url(settings.CELERY_BROKER_URL)


def test_it_is_kept_with_its_cause_and_sent_once(world: World) -> None:
    address = f"carol@{world.tag}.test"
    email_id = invite(world, address)
    assert received(address) == []
    assert reconcile.send(world.acme.id, email_id) is Step.SENT
    assert reconcile.send(world.acme.id, email_id) is Step.NOTHING_DUE
    reconcile.sweep()
    assert [message["subject"] for message in received(address)] == ["Alice invites you to Acme"]
    assert row(world, email_id).sent_at is not None


def test_a_rolled_back_cause_leaves_no_mail_and_no_nudge(world: World, queue: str) -> None:
    assert world.acme
    before = broker().llen(queue)
    with pytest.raises(ZeroDivisionError), tenancy.enter(world.acme.id):
        say_removed(world, f"carol@{world.tag}.test")
        raise ZeroDivisionError
    with tenancy.enter(world.acme.id):
        assert not Email.objects.exists()
    assert broker().llen(queue) == before


def test_the_letter_says_who_where_as_what_until_when_and_has_the_link(world: World) -> None:
    address, invitation_id = f"carol@{world.tag}.test", uuid7()
    reconcile.send(world.acme.id, invite(world, address, invitation_id))
    [message] = received(address)
    for part in ("text", "html"):
        for word in (
            "Alice",
            "Acme",
            "developer",
            "17 May 2030, 09:30 UTC",
            invitations.token_of(invitation_id),
        ):
            assert word in message[part]
    headers = dict(message["headers"])
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["To"] == address
    assert message["sender"] == settings.DEFAULT_FROM_EMAIL
    assert not re.findall(r"<script|src=|url\(|@import", message["html"])


@pytest.mark.parametrize("notice", Notice)
def test_every_notice_can_be_written_and_comes_as_text_and_html(world: World, notice: Notice) -> None:
    values: dict[str, Any] = {"role": "viewer", "expires_at": EXPIRES_AT, "decision": "approved"}
    values |= {"hours": 40, "percent": 80, "then": "nothing stops"}
    parameters = {name: values.get(name, f"the {name}") for name in KINDS[notice].parameters}
    link = LinkTo(invitations.SOURCE, uuid7()) if KINDS[notice].has_link else None
    with tenancy.enter(world.acme.id):
        email_id = notify.notify(notice, to=ToPerson(world.alice.id), link=link, **parameters)
    assert reconcile.send(world.acme.id, email_id) is Step.SENT
    [message] = received(world.alice.email)
    shown = [str(value) for value in parameters.values() if value != EXPIRES_AT]
    for part in ("text", "html"):
        assert [word for word in ["Acme", *shown] if word not in message[part]] == []
        assert "{{" not in message[part]
        assert ("/join/" in message[part]) == bool(link)


def test_a_worker_sends_it_after_the_commit_and_its_log_holds_neither_link_nor_address(
    world: World, queue: str, tmp_path: Path
) -> None:
    # What other tests nudged, and nobody took up, would be done first.
    broker().delete(queue)
    address, invitation_id = f"carol@{world.tag}.test", uuid7()
    invite(world, address, invitation_id)
    token = invitations.token_of(invitation_id)
    waiting = str(broker().lrange(queue, 0, -1))
    assert str(world.acme.id) in waiting, "what is searched must be what was sent"
    assert token not in waiting
    log = tmp_path / "worker.log"
    command = [
        *(
            sys.executable,
            "-m",
            "celery",
            "-A",
            "envforge",
            "worker",
            "--concurrency",
            "1",
            "--loglevel",
            "debug",
        ),
        *("--queues", queue, "--include", "tests.product.invitations"),
    ]
    with log.open("wb") as output:
        worker = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=other_process() | {"C_FORCE_ROOT": "1"},
        )
        try:
            deadline = time.monotonic() + 30
            while not (received(address) and "email.sent" in log.read_text()) and time.monotonic() < deadline:
                time.sleep(0.1)
        finally:
            worker.terminate()
            worker.wait(15)
    said = log.read_text()
    assert token in received(address)[0]["text"], said
    assert "email.sent" in said
    assert token not in said
    assert address not in said


def test_no_token_is_in_the_database_or_a_log(
    world: World, admin: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    address, invitation_id = f"carol@{world.tag}.test", uuid7()
    canary = invitations.token_of(invitation_id)
    caplog.set_level(logging.DEBUG)
    email_id = invite(world, address, invitation_id)
    with override_settings(EMAIL_PORT=free_port()):
        assert reconcile.send(world.acme.id, email_id) is Step.SERVER_AWAY
    make_due(world, email_id)
    assert reconcile.send(world.acme.id, email_id) is Step.SENT
    assert canary in received(address)[0]["text"], "what is searched for must be what was sent"
    tables = admin.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    ).fetchall()
    stored = "".join(
        text
        for (name,) in tables
        for (text,) in admin.execute(f'SELECT t::text FROM public."{name}" t').fetchall()
    )
    assert str(invitation_id) in stored, "what is searched must be what was written"
    for place in (stored, caplog.text):
        assert canary not in place


def test_a_notice_cannot_carry_a_token(world: World) -> None:
    for inviter in ("Bearer abcdefghijklmnopqrstuvwxyz", "envf_sa_abcdefghijklmnopqrstuvwxyz"):
        with pytest.raises(FactRefused) as refused:
            invite(world, f"carol@{world.tag}.test", inviter=inviter)
        assert inviter not in str(refused.value)


def test_what_a_notice_does_not_declare_is_refused_whole(world: World) -> None:
    to, link = ToAddress(f"carol@{world.tag}.test"), LinkTo(invitations.SOURCE, uuid7())
    with pytest.raises(TenancyError), transaction.atomic():
        notify.notify(Notice.MEMBER_REMOVED, to=to, remover="Alice")
    with tenancy.enter(world.acme.id):
        with pytest.raises(FactRefused, match="see reason"):
            notify.notify(Notice.MEMBER_REMOVED, to=to, remover="Alice", reason="because")
        with pytest.raises(FactRefused, match="see remover"):
            notify.notify(Notice.MEMBER_REMOVED, to=to)
        with pytest.raises(NoticeRefused, match="has no link"):
            notify.notify(Notice.MEMBER_REMOVED, to=to, link=link, remover="Alice")
        with pytest.raises(NoticeRefused, match="needs a link"):
            notify.notify(Notice.APPROVAL_REQUESTED, to=to, what="a", requester="b")
        with pytest.raises(NoticeRefused, match="nothing is registered that makes links to nowhere"):
            nowhere = LinkTo("nowhere", uuid7())
            notify.notify(Notice.APPROVAL_REQUESTED, to=to, link=nowhere, what="a", requester="b")
        assert not Email.objects.exists()


@pytest.mark.parametrize(
    "address",
    ["carol", "carol@x.test\nBcc: eve@evil.test", "carol@x.test, eve@evil.test", "<carol@x.test>", ""],
)
def test_a_recipient_is_one_address(world: World, address: str) -> None:
    with pytest.raises(NoticeRefused) as refused:
        say_removed(world, address)
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        "Eve\r\nBcc: eve@evil.test",
        "Eve\nSubject: You won\n\nBody",
        "Eve\x00\x0b\x0c\x85\u2028\u2029Bcc: eve@evil.test",
        "=?utf-8?q?Eve=0ABcc:_eve=40evil.test?=",
        "\u202eevE " + "x" * 5_000,
    ],
)
def test_no_name_becomes_a_header(world: World, name: str) -> None:
    address = f"carol@{world.tag}.test"
    assert reconcile.send(world.acme.id, invite(world, address, inviter=name)) is Step.SENT
    assert received("eve@evil.test") == []
    [message] = received(address)
    assert [header for header, _ in message["headers"]] == [
        *("Content-Type", "MIME-Version", "Subject", "From", "To", "Message-ID", "Date", "Auto-Submitted")
    ]
    assert message["recipients"] == [address]
    assert len(message["subject"]) < 200
    assert message["subject"].isprintable()


def test_names_of_all_the_world_arrive_as_they_are(world: World) -> None:
    address = f"carol@{world.tag}.test"
    operations.rename_organization(
        actor=world.alice.as_actor(), org_id=world.acme.id, name="Größe & Söhne 東京"
    )
    reconcile.send(world.acme.id, invite(world, address, inviter="Łukasz <3 Ελένη 🙂"))
    [message] = received(address)
    assert message["subject"] == "Łukasz <3 Ελένη 🙂 invites you to Größe & Söhne 東京"
    assert "Größe & Söhne 東京" in message["text"]
    assert "Größe &amp; Söhne 東京" in message["html"]
    assert "Łukasz &lt;3 Ελένη 🙂" in message["html"]


def test_names_are_one_short_line_and_make_no_link() -> None:
    assert readable("  Acme\r\n\tInc.  ") == "Acme Inc."
    assert len(readable("x" * 500)) == 80
    assert unlinkable("Acme Inc. of St. Ives") == "Acme Inc. of St. Ives"
    shown = unlinkable("You won, see https://evil.example/now or www.evil.example")
    assert not re.search(r"://|\w\.\w", shown)


def test_another_organizations_notices_are_not_visible(world: World) -> None:
    email_id = invite(world, f"carol@{world.tag}.test")
    with tenancy.enter(world.mallet.id):
        assert not Email.objects.filter(id=email_id).exists()
        assert Email.objects.filter(id=email_id).update(to_address="mallory@evil.test") == 0
    assert reconcile.send(world.mallet.id, email_id) is Step.NOTHING_DUE
    with transaction.atomic():
        assert not Email.objects.filter(id=email_id).exists()
    assert received(f"carol@{world.tag}.test") == []


def test_n1_the_lookup_answers_the_ids_of_organizations_with_something_due_alone(world: World) -> None:
    assert world.mallet
    email_id = invite(world, f"carol@{world.tag}.test")
    due = organizations_with_due_email(1_000)
    assert world.acme.id in due
    assert world.mallet.id not in due
    reconcile.send(world.acme.id, email_id)
    assert world.acme.id not in organizations_with_due_email(1_000)
    assert len(organizations_with_due_email(0)) == 0


def test_every_notice_has_its_words_and_templates() -> None:
    assert set(KINDS) == set(Notice)
    for notice in Notice:
        for form in ("txt", "html"):
            assert Path(f"templates/mail/{notice}.{form}").exists()


def test_a_broken_message_in_the_broker_sends_nothing(world: World, queue: str) -> None:
    """The broker carries two ids, and whoever writes into it can at most cause a step that is due."""
    email_id = invite(world, f"carol@{world.tag}.test")
    [message] = [
        json.loads(one)
        for one in broker().lrange(queue, 0, -1)
        if str(email_id) in json.loads(one)["headers"]["argsrepr"]
    ]
    assert message["headers"]["argsrepr"] == repr([str(world.acme.id), str(email_id)])
    assert reconcile.send(world.acme.id, uuid7()) is Step.NOTHING_DUE
