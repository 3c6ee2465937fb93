"""An organization's SSH authority: one, whoever asks at once, and its private key nowhere but in the secret store (H7, S5)."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificateBuilder, SSHCertificateType
from django.db import connection

from envforge import tenancy
from envforge.errors import TenancyError, Unavailable
from secrets_ref.platform_secrets import drop_platform_secret, read_platform_secret
from tests.product.world import World
from workspaces import authorities
from workspaces.models import CertificateAuthority


def signed_by(org_id: UUID) -> str:
    subject = Ed25519PrivateKey.generate().public_key()
    now = int(datetime.now(UTC).timestamp())
    builder = (
        SSHCertificateBuilder()
        .public_key(subject)
        .serial(1)
        .type(SSHCertificateType.USER)
        .key_id(b"x")
        .valid_principals([b"x"])
        .valid_after(now)
        .valid_before(now + int(timedelta(minutes=5).total_seconds()))
    )
    certificate = authorities.sign(org_id, builder)
    certificate.verify_cert_signature()
    return certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_h7_an_organization_has_one_authority_and_no_other_has_it(world: World) -> None:
    acme = authorities.public_key(world.acme.id)
    assert acme.startswith("ssh-ed25519 ")
    load_ssh_public_key(acme.encode())
    assert authorities.public_key(world.acme.id) == acme
    assert authorities.public_key(world.mallet.id) != acme
    assert signed_by(world.acme.id) == acme


def test_h7_eight_that_ask_at_once_get_the_same_key_and_the_one_that_signs(world: World) -> None:
    start = threading.Barrier(8)
    answers: list[str] = []

    def ask() -> None:
        start.wait()
        try:
            answers.append(authorities.public_key(world.acme.id))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert signed_by(world.acme.id) == answers[0]


def test_s5_the_private_key_is_a_platform_secret_and_in_no_table(
    world: World, admin: psycopg.Connection
) -> None:
    public = authorities.public_key(world.acme.id)
    with tenancy.enter(world.acme.id):
        row = CertificateAuthority.objects.get()
    kept = read_platform_secret(org_id=world.acme.id, name=authorities.secret_name(row.id))
    assert kept is not None
    assert "PRIVATE KEY" in kept.reveal_text()
    stored = admin.execute("SELECT * FROM workspaces_certificateauthority WHERE id = %s", [row.id]).fetchone()
    assert public in str(stored)
    assert "PRIVATE" not in str(stored)


def test_an_authority_is_made_outside_of_transactions_alone(world: World) -> None:
    with tenancy.enter(world.acme.id), pytest.raises(TenancyError):
        authorities.public_key(world.acme.id)
    public = authorities.public_key(world.acme.id)
    with tenancy.enter(world.acme.id):
        assert authorities.public_key(world.acme.id) == public
        with pytest.raises(TenancyError):
            signed_by(world.acme.id)


def test_a_key_that_was_lost_signs_nothing_and_is_not_made_anew_unseen(world: World) -> None:
    public = authorities.public_key(world.acme.id)
    with tenancy.enter(world.acme.id):
        row = CertificateAuthority.objects.get()
    drop_platform_secret(org_id=world.acme.id, name=authorities.secret_name(row.id))
    with pytest.raises(Unavailable, match="operators"):
        signed_by(world.acme.id)
    assert authorities.public_key(world.acme.id) == public
