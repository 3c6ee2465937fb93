"""H4: joining against the real local AWS endpoint, which verifies signatures; and everything that is not let in."""

import json
import time
from datetime import timedelta
from uuid import UUID, uuid4

import httpx2
import pytest
from botocore.credentials import Credentials
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from envforge_protocol.host import joining as wire
from hosts import changes, nonces
from hosts.changes import Change
from hosts.models import Host, HostToken, HostVoice, Observed
from hosts.tokens import revoke_host_tokens
from tests.product.host_api.machines import Daemon, change, command, new_host, stop, want, workspace
from tests.product.host_api.newcomers import Cloud, Newcomer
from tests.product.world import World


def refusals(org_id: UUID) -> list[str]:
    with tenancy.enter(org_id):
        return [event.facts["reason"] for event in Event.objects.filter(kind="host.join_refused")]


def test_h4_a_vm_proves_who_it_is_and_works_with_its_token(newcomer: Newcomer) -> None:
    answer = newcomer.join()
    assert answer.status_code == 200, answer.text
    joined = answer.json()
    assert (joined["host_id"], joined["org_id"]) == (str(newcomer.host.id), str(newcomer.host.org_id))
    wanted = want(newcomer.host, stop(workspace()))
    daemon = Daemon(newcomer.address, newcomer.host, newcomer.boot_id, joined["token"])
    [leased] = daemon.poll()
    assert leased.id == wanted
    assert daemon.beat(1).json()["instruction"] == "go_on"
    with tenancy.enter(newcomer.host.org_id):
        host, token = Host.objects.get(id=newcomer.host.id), HostToken.objects.get(host=newcomer.host)
        voice = HostVoice.objects.get(host=newcomer.host)
    assert host.boot_id == newcomer.boot_id
    assert host.joined_at
    assert joined["token"] not in repr((vars(token), vars(voice), vars(host), vars(command(host, wanted))))
    assert timedelta(minutes=59) < token.expires_at - timezone.now() <= timedelta(hours=1)


def test_a_vm_that_was_taken_for_stopped_is_counted_on_again_in_the_same_start(
    newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EC2's word was wrong for a moment: who waits for the VM is told that it is back, though it never started anew."""
    told: list[Change] = []
    monkeypatch.setattr(changes, "_listeners", [lambda one: told.append(one.change)])
    daemon = Daemon(newcomer.address, newcomer.host, newcomer.boot_id, newcomer.join().json()["token"])
    daemon.beat(1)
    assert told == [Change.READY]
    change(newcomer.host, observed=Observed.STOPPED, joined_at=None, boot_id=None)
    assert daemon.beat(2).json()["instruction"] == "join_again"
    daemon.token = newcomer.join().json()["token"]
    assert daemon.beat(3).json()["instruction"] == "go_on"
    assert told == [Change.READY, Change.READY]


def test_h4_joining_again_renews_and_a_new_start_ends_the_earlier_token(newcomer: Newcomer) -> None:
    first = newcomer.join().json()["token"]
    second = newcomer.join().json()["token"]
    daemon = Daemon(newcomer.address, newcomer.host, newcomer.boot_id, first)
    assert daemon.poll_status() == 204
    newcomer.boot_id = uuid4()
    third = newcomer.join().json()["token"]
    statuses = []
    for daemon.token in (first, second, third):
        statuses.append(daemon.poll_status())
    assert statuses == [401, 401, 204]


def test_h4_a_replayed_join_is_refused(newcomer: Newcomer) -> None:
    request = newcomer.request()
    assert newcomer.post("join", request).status_code == 200
    answer = newcomer.post("join", request)
    assert (answer.status_code, answer.json()["word"]) == (403, "nonce")


def test_h4_a_nonce_is_good_for_its_minute_and_its_instance(
    newcomer: Newcomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = newcomer.nonce("i-00000000000000000")["nonce"]
    newcomer.refused("nonce", nonce=other)
    late = newcomer.request()
    now = time.time()
    with monkeypatch.context() as clock:
        clock.setattr("hosts.nonces.time.time", lambda: now + 61)
        assert newcomer.post("join", late).json()["word"] == "nonce"
    made_up = nonces.new(newcomer.instance_id)[:-4] + "0000"
    newcomer.refused("nonce", nonce=made_up)
    newcomer.refused("nonce", nonce="x" * 100, identity=newcomer.sign("x" * 100))


def test_h4_nonces_say_nothing_about_which_instances_there_are(newcomer: Newcomer) -> None:
    known, unknown = newcomer.nonce(), newcomer.nonce("i-00000000000000000")
    assert {**known, "nonce": ""} == {**unknown, "nonce": ""}
    assert [len(part) for part in known["nonce"].split(".")] == [
        len(part) for part in unknown["nonce"].split(".")
    ]


def test_h4_a_nonce_that_one_process_saw_is_spent_for_all(newcomer: Newcomer) -> None:
    nonce = newcomer.nonce()["nonce"]
    assert nonces.spend(nonce, newcomer.instance_id)
    newcomer.refused("nonce", nonce=nonce)


def test_h4_a_wrong_secret_is_refused(newcomer: Newcomer) -> None:
    real = newcomer.credentials
    newcomer.credentials = Credentials(real.access_key, "not-the-secret", real.token)
    newcomer.refused("signature")


def test_h4_a_signature_over_another_nonce_or_audience_is_refused(newcomer: Newcomer) -> None:
    newcomer.refused("signature", identity=newcomer.sign(newcomer.nonce()["nonce"]))
    nonce = newcomer.nonce()["nonce"]
    newcomer.refused(
        "signature", nonce=nonce, identity=newcomer.sign(nonce, audience="https://elsewhere.example")
    )


@pytest.mark.parametrize("unsigned", [wire.NONCE_HEADER, wire.AUDIENCE_HEADER])
def test_h4_nonce_and_audience_must_be_signed(newcomer: Newcomer, unsigned: str) -> None:
    """A signature made for something else, which says nothing of us (CVE-2020-16250)."""
    nonce = newcomer.nonce()["nonce"]
    newcomer.refused("signed_headers", nonce=nonce, identity=newcomer.sign(nonce, unsigned=unsigned))


def test_h4_nothing_else_is_signed_and_the_scope_is_ours(newcomer: Newcomer) -> None:
    nonce = newcomer.nonce()["nonce"]
    newcomer.refused("signed_headers", nonce=nonce, identity=newcomer.sign(nonce, method="GET"))
    newcomer.refused("scope", nonce=nonce, identity=newcomer.sign(nonce, region="us-east-1"))
    signed = newcomer.sign(nonce)
    iam = signed | {"authorization": signed["authorization"].replace("/sts/", "/iam/")}
    newcomer.refused("authorization_form", nonce=nonce, identity=iam)
    other_day = signed | {"amz_date": "20200101T000000Z"}
    newcomer.refused("scope", nonce=nonce, identity=other_day)


@pytest.mark.parametrize(
    "tail", ["\r\nHost: elsewhere.example", "\n", "\r\n\r\nGET / HTTP/1.1", "\u2028", " , ", "\x00"]
)
@pytest.mark.parametrize("name", ["amz_date", "authorization", "security_token"])
def test_h4_nothing_is_smuggled_in_a_headers_value(newcomer: Newcomer, name: str, tail: str) -> None:
    nonce = newcomer.nonce()["nonce"]
    signed = newcomer.sign(nonce)
    word = "authorization_form" if name == "authorization" else "header_form"
    newcomer.refused(word, nonce=nonce, identity=signed | {name: signed[name] + tail})


def test_h4_no_field_is_given_twice(newcomer: Newcomer) -> None:
    body = json.dumps(newcomer.request())
    twice = body[:-1] + f', "instance_id": "{newcomer.instance_id}"}}'
    headers = {"Host": settings.HOST_API_HOST, "EnvForge-Protocol": "1", "Content-Type": "application/json"}
    with httpx2.Client(base_url=newcomer.address) as client:
        assert client.post("/host/v1/join", content=twice, headers=headers).status_code == 422


def test_h4_another_account_is_refused(newcomer: Newcomer) -> None:
    with override_settings(AWS_ACCOUNT_ID="999999999999"):
        newcomer.refused("account")


def test_h4_another_role_is_refused_and_so_is_one_made_anew_by_that_name(
    newcomer: Newcomer, address: str, cloud: Cloud, world: World
) -> None:
    other = Newcomer(address, cloud, new_host(world.acme), role="other")
    other.refused("role")
    with override_settings(HOST_ROLE_ID="AROA" + "0" * 16):
        newcomer.refused("role")


def test_h4_another_instance_cannot_take_a_vms_place(
    newcomer: Newcomer, address: str, cloud: Cloud, world: World
) -> None:
    """A real VM of another organization names this one's instance."""
    stranger = Newcomer(address, cloud, new_host(world.mallet))
    nonce = stranger.nonce(newcomer.instance_id)["nonce"]
    stranger.refused("instance", nonce=nonce, identity=stranger.sign(nonce), instance_id=newcomer.instance_id)
    with tenancy.enter(newcomer.host.org_id):
        assert not HostToken.objects.exists()


def test_h4_an_instance_that_is_no_vm_of_ours_is_refused(newcomer: Newcomer) -> None:
    change(newcomer.host, instance_id="")
    newcomer.refused("unknown")


def test_h4_another_generation_or_a_vm_that_is_to_end_is_refused_and_recorded(
    newcomer: Newcomer, world: World
) -> None:
    newcomer.refused("generation", generation=2)
    change(newcomer.host, generation=2)
    newcomer.refused("generation", generation=1)
    change(newcomer.host, generation=1, wanted="ended")
    newcomer.refused("ended")
    assert sorted(refusals(world.acme.id)) == ["ended", "generation"], "once a minute for each word"


def test_h4_what_is_not_known_to_be_a_vm_is_recorded_for_the_platform(
    newcomer: Newcomer, world: World
) -> None:
    newcomer.refused("nonce", nonce="x" * 100, identity=newcomer.sign("x" * 100))
    assert refusals(world.acme.id) == []
    assert "nonce" in refusals(tenancy.PLATFORM)


def test_h5_a_vm_that_is_shut_out_stays_out_until_it_is_replaced(newcomer: Newcomer) -> None:
    token = newcomer.join().json()["token"]
    daemon = Daemon(newcomer.address, newcomer.host, newcomer.boot_id, token)
    assert daemon.poll_status() == 204
    with tenancy.enter(newcomer.host.org_id):
        revoke_host_tokens(newcomer.host.id)
    assert daemon.poll_status() == 401
    newcomer.refused("barred")
    newcomer.boot_id = uuid4()
    newcomer.refused("barred")
    change(newcomer.host, generation=2)
    assert newcomer.join(generation=2).status_code == 200


def test_without_settings_nobody_is_let_in(newcomer: Newcomer) -> None:
    with override_settings(HOST_ROLE_ID=""):
        newcomer.refused("not_configured")
