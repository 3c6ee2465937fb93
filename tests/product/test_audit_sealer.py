"""The sealer: every committed event gets its place, once, whatever dies in between (DESIGN 5, E1)."""

import json
import threading
from datetime import date
from itertools import count, islice
from uuid import UUID

import boto3
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connections

from audit import kms, sealer, vault
from audit.models import Event
from envforge import tenancy
from envforge.errors import Unavailable
from envforge_protocol.audit.checkpoints import Checkpoint
from orgs import operations
from tests.product.chains import check, seal, sealer_identity, sign
from tests.product.world import World


def sequence(org_id: UUID) -> list[int | None]:
    with tenancy.enter(org_id):
        return list(Event.objects.order_by("seq").values_list("seq", flat=True))


_names = (f"Acme {number}" for number in count(1))


def rename(world: World, times: int) -> None:
    for name in islice(_names, times):
        operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name=name)


def test_each_organization_has_a_chain_of_its_own(world: World) -> None:
    assert world.mallet
    rename(world, 3)
    seal()
    assert sequence(world.acme.id) == [1, 2, 3, 4, 5]
    assert sequence(world.mallet.id) == [1, 2]


def test_a_later_pass_goes_on_where_the_last_one_ended(world: World) -> None:
    rename(world, 1)
    seal()
    rename(world, 2)
    assert seal() == 2
    sign()
    report = check(world.acme.id)
    assert report.ok, report
    assert (report.events, report.signed_through) == (5, 5)


def test_what_is_not_committed_is_not_sealed(world: World) -> None:
    assert world.acme
    seal()
    with tenancy.enter(world.acme.id):
        operations.rename_organization(actor=world.alice.as_actor(), org_id=world.acme.id, name="Soon")
        assert sealer.seal_pass() == 0
    assert sealer.seal_pass() == 1


def test_two_sealers_at_once_seal_each_event_once(world: World) -> None:
    rename(world, 60)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            for _ in range(5):
                sealer.seal_pass()
        except DatabaseError as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seal()
    assert not errors
    assert sequence(world.acme.id) == list(range(1, 63))


def test_killed_before_the_heads_move_it_sealed_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename(world, 2)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sealer, "_move_heads", die)
        sealer.seal_pass()
    assert sequence(world.acme.id) == [None] * 4
    seal()
    assert sequence(world.acme.id) == [1, 2, 3, 4]


def test_killed_between_signature_and_record_it_signs_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename(world, 2)
    seal()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(sealer, "_record", die)
        sign()
    sign()
    assert check(world.acme.id).signed_through == 4


def test_a_checkpoint_is_not_due_again_at_once(world: World) -> None:
    rename(world, 1)
    seal()
    sign()
    rename(world, 2)
    seal()
    with sealer_identity():
        sealer.sign_pass()
    assert check(world.acme.id).signed_through == 3


def test_e1_only_the_sealers_identity_may_sign() -> None:
    with pytest.raises(Unavailable, match="cannot sign: AccessDenied"):
        kms.sign(settings.AUDIT_KEY, b"the control plane's own process")


def test_without_kms_it_seals_and_says_what_is_missing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rename(world, 1)
    monkeypatch.setattr(settings, "AUDIT_KEY", "alias/no-such-key")
    assert seal() >= 3
    with pytest.raises(Unavailable, match="alias/no-such-key cannot be read: NotFoundException"):
        sign()


def test_e1_checkpoints_are_put_out_of_reach(world: World) -> None:
    acme = world.acme
    seal()
    sign()
    with connections["sealer"].cursor() as cursor:
        # Of the organizations of other tests there may be hundreds.
        cursor.execute("UPDATE audit_checkpoint SET vaulted_at = now() WHERE org_id <> %s", [acme.id])
    with sealer_identity():
        while sealer.vault_pass():
            pass
        bucket = boto3.session.Session().resource(
            "s3", endpoint_url=settings.AWS_ENDPOINT_URL, region_name=settings.AWS_REGION
        )
        key = f"checkpoints/{world.acme.id}/{2:020d}.json"
        kept = bucket.Object(settings.AUDIT_VAULT_BUCKET, key).get()
    assert kept["ObjectLockMode"] in {"GOVERNANCE", "COMPLIANCE"}
    checkpoint = Checkpoint.from_json(json.loads(kept["Body"].read()))
    assert vault.object_key(checkpoint) == key
    assert (checkpoint.chain, checkpoint.seq) == (str(world.acme.id), 2)


def test_partitions_are_made_ahead_once() -> None:
    assert sealer.make_partitions() == 0
    with connections["sealer"].cursor() as cursor:
        cursor.execute(
            "SELECT audit_make_partition(%s), audit_make_partition(%s)",
            [date(2027, 11, 5), date(2027, 11, 30)],
        )
        assert cursor.fetchone() == (True, False)
        with pytest.raises(DatabaseError, match="must lie between 2020 and two years from now"):
            cursor.execute("SELECT audit_make_partition(%s)", [date(1999, 1, 1)])


def test_the_command_does_it_all_once(world: World) -> None:
    assert world.acme
    with sealer_identity():
        call_command("seal_audit", "--once")
    assert check(world.acme.id).ok
