"""Gives committed events their place in their organization's hash chain, and signs where the chain stands (E1).

Runs as a process of its own with the sealer's database role; requests never wait for it. Safe to kill at any line, and
to run twice: a chain's head row is locked while it grows, and a checkpoint is unique by chain and sequence number.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connections, transaction
from django.utils import timezone

from audit import kms, vault
from audit.body import COLUMNS, body_of
from audit.facts import rfc3339
from envforge_protocol.audit.canonical import digest, genesis, link
from envforge_protocol.audit.checkpoints import Checkpoint

DATABASE = "sealer"
CHAINS_A_PASS = 500
EVENTS_A_PASS = 5_000
SIGNATURES_A_PASS = 200
PARTITIONS_AHEAD = 3

log = structlog.get_logger(__name__)

_READ_UNSEALED = f"""
SELECT {", ".join(COLUMNS)} FROM audit_event WHERE seq IS NULL AND org_id = ANY(%s) ORDER BY org_id, at, id LIMIT %s
"""  # noqa: S608 - constants
_SEAL = """
UPDATE audit_event AS event SET seq = sealed.seq, hash = sealed.hash, sealed_at = %s
FROM unnest(%s::uuid[], %s::timestamptz[], %s::uuid[], %s::bigint[], %s::bytea[]) AS sealed (org_id, at, id, seq, hash)
WHERE event.org_id = sealed.org_id AND event.at = sealed.at AND event.id = sealed.id AND event.seq IS NULL
"""


def seal_pass() -> int:
    """Seal what has committed by now, up to `EVENTS_A_PASS` events; answers how many were sealed.

    Chains that another sealer holds are left to it. Events get their numbers in the order of their time as far as they
    are visible in this pass; one that commits later comes later.
    """
    with transaction.atomic(using=DATABASE), connections[DATABASE].cursor() as cursor:
        cursor.execute("SELECT DISTINCT org_id FROM audit_event WHERE seq IS NULL LIMIT %s", [CHAINS_A_PASS])
        waiting = [row[0] for row in cursor.fetchall()]
        if not waiting:
            return 0
        heads = _lock_heads(cursor, waiting)
        # Read only now: what another sealer did to these chains before we held them is visible to this statement.
        cursor.execute(_READ_UNSEALED, [list(heads), EVENTS_A_PASS])
        rows = cursor.fetchall()
        sealed: list[tuple[UUID, datetime, UUID, int, bytes]] = []
        for org_id, events in groupby(rows, key=lambda row: row[1]):
            seq, previous = heads[org_id]
            for row in events:
                seq += 1
                previous = link(previous, seq, digest(body_of(row)))
                sealed.append((org_id, row[2], row[0], seq, previous))
            heads[org_id] = (seq, previous)
        if not sealed:
            return 0
        cursor.execute(_SEAL, [timezone.now(), *(list(column) for column in zip(*sealed, strict=True))])
        if cursor.rowcount != len(sealed):
            raise RuntimeError(
                f"{len(sealed)} events were to be sealed, {cursor.rowcount} were: nothing is, and the pass is repeated."
            )
        _move_heads(cursor, {org_id: heads[org_id] for org_id in {row[1] for row in rows}})
        return len(sealed)


def _lock_heads(cursor: Any, org_ids: list[UUID]) -> dict[UUID, tuple[int, bytes]]:
    cursor.execute(
        "INSERT INTO audit_chain_head (org_id, seq, hash, signed_seq) SELECT org_id, 0, hash, 0 "
        "FROM unnest(%s::uuid[], %s::bytea[]) AS chain (org_id, hash) ON CONFLICT DO NOTHING",
        [org_ids, [genesis(str(org_id)) for org_id in org_ids]],
    )
    cursor.execute(
        "SELECT org_id, seq, hash FROM audit_chain_head WHERE org_id = ANY(%s) ORDER BY org_id FOR UPDATE SKIP LOCKED",
        [org_ids],
    )
    return {org_id: (seq, bytes(head)) for org_id, seq, head in cursor.fetchall()}


def _move_heads(cursor: Any, heads: dict[UUID, tuple[int, bytes]]) -> None:
    cursor.execute(
        "UPDATE audit_chain_head AS head SET seq = moved.seq, hash = moved.hash "
        "FROM unnest(%s::uuid[], %s::bigint[], %s::bytea[]) AS moved (org_id, seq, hash) WHERE head.org_id = moved.org_id",
        [list(heads), [seq for seq, _ in heads.values()], [head for _, head in heads.values()]],
    )


def sign_pass() -> int:
    """Sign a checkpoint for each chain that grew since its last one, at most every `AUDIT_CHECKPOINT_S`; answers how many.

    Raises:
        Unavailable: KMS does not sign; the next pass tries again.
    """
    due = timezone.now() - timedelta(seconds=settings.AUDIT_CHECKPOINT_S)
    with connections[DATABASE].cursor() as cursor:
        cursor.execute(
            "SELECT org_id, seq, hash FROM audit_chain_head WHERE seq > signed_seq AND (signed_at IS NULL OR signed_at <= %s) LIMIT %s",
            [due, SIGNATURES_A_PASS],
        )
        grown = cursor.fetchall()
    if not grown:
        return 0
    key = kms.signing_key()
    pem = kms.public_key(key)
    for org_id, seq, head in grown:
        unsigned = Checkpoint(
            chain=str(org_id),
            seq=seq,
            hash=bytes(head),
            at=rfc3339(timezone.now()),
            key_id=key,
            signature=b"",
        )
        _record(org_id, replace(unsigned, signature=kms.sign(key, unsigned.signed_bytes())), pem)
    return len(grown)


def _record(org_id: UUID, checkpoint: Checkpoint, pem: str) -> None:
    at = datetime.fromisoformat(checkpoint.at)
    with transaction.atomic(using=DATABASE), connections[DATABASE].cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_signing_key (key_id, pem, first_used_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [checkpoint.key_id, pem, at],
        )
        cursor.execute(
            "INSERT INTO audit_checkpoint (id, org_id, seq, hash, at, key_id, signature) VALUES (gen_random_uuid(), %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (org_id, seq) DO NOTHING",
            [org_id, checkpoint.seq, checkpoint.hash, at, checkpoint.key_id, checkpoint.signature],
        )
        cursor.execute(
            "UPDATE audit_chain_head SET signed_seq = %s, signed_at = %s WHERE org_id = %s AND signed_seq < %s",
            [checkpoint.seq, at, org_id, checkpoint.seq],
        )


def vault_pass() -> int:
    """Copy new checkpoints to the vault, out of the database's reach; answers how many. Without a vault, none.

    Raises:
        Unavailable: S3 does not take them; the next pass tries again.
    """
    if not settings.AUDIT_VAULT_BUCKET:
        return 0
    with connections[DATABASE].cursor() as cursor:
        cursor.execute(
            "SELECT id, org_id, seq, hash, at, key_id, signature FROM audit_checkpoint WHERE vaulted_at IS NULL ORDER BY at LIMIT %s",
            [SIGNATURES_A_PASS],
        )
        waiting = cursor.fetchall()
        for checkpoint_id, org_id, seq, head, at, key_id, signature in waiting:
            vault.keep(
                Checkpoint(
                    chain=str(org_id),
                    seq=seq,
                    hash=bytes(head),
                    at=rfc3339(at),
                    key_id=key_id,
                    signature=bytes(signature),
                )
            )
            cursor.execute(
                "UPDATE audit_checkpoint SET vaulted_at = %s WHERE id = %s", [timezone.now(), checkpoint_id]
            )
    return len(waiting)


def make_partitions() -> int:
    """Make the partitions of this month and the next ones; answers how many were new."""
    with connections[DATABASE].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE audit_make_partition((date_trunc('month', now()) + make_interval(months => ahead))::date)) "
            "FROM generate_series(0, %s) AS ahead",
            [PARTITIONS_AHEAD],
        )
        row = cursor.fetchone()
    return int(row[0])
