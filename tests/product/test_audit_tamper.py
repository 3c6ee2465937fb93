"""E1: whoever rewrites the database is found out by the next export, and the verifier names the place.

The attacker here is PostgreSQL's superuser with triggers switched off: nothing in the database stops them.
"""

import json
from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest

from envforge_protocol.audit.checkpoints import Checkpoint
from envforge_protocol.audit.verify import verify
from orgs import operations
from tests.product.chains import check, export_lines, keys, seal, sign
from tests.product.world import World

EVENTS = 10
SIGNED = 8


@pytest.fixture
def chain(world: World) -> UUID:
    """Acme's chain of ten events; a checkpoint after four and after eight."""
    names = iter(f"Acme {number}" for number in range(EVENTS))
    for count in (2, 4, 2):
        for _ in range(count):
            operations.rename_organization(
                actor=world.alice.as_actor(), org_id=world.acme.id, name=next(names)
            )
        seal()
        if count != 2 or not _has_checkpoints(world.acme.id):
            sign()
    assert check(world.acme.id).signed_through == SIGNED
    return world.acme.id


def _has_checkpoints(org_id: UUID) -> bool:
    return any(b'"type":"checkpoint"' in line for line in export_lines(org_id))


@pytest.fixture
def attacker(admin: psycopg.Connection) -> psycopg.Connection:
    admin.execute("SET session_replication_role = replica")
    return admin


Attack = Callable[[psycopg.Connection, UUID], None]


def change(seq: int, assignment: str) -> Attack:
    def attack(db: psycopg.Connection, org: UUID) -> None:
        changed = db.execute(
            f"UPDATE audit_event SET {assignment} WHERE org_id = %s AND seq = %s", [org, seq]
        )
        assert changed.rowcount == 1

    return attack


def delete(seq: int) -> Attack:
    def attack(db: psycopg.Connection, org: UUID) -> None:
        assert db.execute("DELETE FROM audit_event WHERE org_id = %s AND seq = %s", [org, seq]).rowcount == 1

    return attack


def insert_after(seq: int) -> Attack:
    def attack(db: psycopg.Connection, org: UUID) -> None:
        db.execute("UPDATE audit_event SET seq = seq + 1 WHERE org_id = %s AND seq > %s", [org, seq])
        db.execute(
            "INSERT INTO audit_event SELECT %s, org_id, at, kind, actor_kind, actor_id, actor_label, target_kind, target_id, target_label, "
            "workspace_id, request_id, facts, seq + 1, hash, sealed_at FROM audit_event WHERE org_id = %s AND seq = %s",
            [uuid4(), org, seq],
        )
        db.execute("UPDATE audit_chain_head SET seq = seq + 1 WHERE org_id = %s", [org])

    return attack


def swap(one: int, other: int) -> Attack:
    def attack(db: psycopg.Connection, org: UUID) -> None:
        changed = db.execute(
            "UPDATE audit_event SET seq = CASE seq WHEN %s THEN %s::bigint ELSE %s::bigint END WHERE org_id = %s AND seq IN (%s, %s)",
            [one, other, one, org, one, other],
        )
        assert changed.rowcount == 2

    return attack


def change_checkpoint(assignment: str) -> Attack:
    def attack(db: psycopg.Connection, org: UUID) -> None:
        query = f"UPDATE audit_checkpoint SET {assignment} WHERE org_id = %s AND seq = 4"
        assert db.execute(query, [org]).rowcount == 1

    return attack


ATTACKS: dict[str, tuple[Attack, int]] = {
    "change a label": (change(3, "actor_label = 'Mallory'"), 3),
    "change a fact": (change(5, 'facts = \'{"previous": "Mallet"}\''), 5),
    "change a time": (change(2, "at = at + interval '1 microsecond'"), 2),
    "change the kind of the first": (change(1, "kind = 'organization.archived'"), 1),
    "change the last, unsigned one": (change(10, "actor_label = 'Mallory'"), 10),
    "change a hash": (change(6, "hash = sha256('x')"), 6),
    "delete the first": (delete(1), 1),
    "delete one in the middle": (delete(6), 6),
    "insert one": (insert_after(4), 5),
    "reorder two": (swap(3, 4), 3),
    "change a checkpoint's hash": (change_checkpoint("hash = sha256('x')"), 4),
    "change a checkpoint's signature": (
        change_checkpoint("signature = substring(signature from 1 for 10) || '\\x00'::bytea"),
        4,
    ),
    "move a checkpoint": (change_checkpoint("seq = 5"), 5),
    "backdate a checkpoint": (change_checkpoint("at = at - interval '1 day'"), 4),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_e1_a_rewriting_shows_and_is_placed(name: str, chain: UUID, attacker: psycopg.Connection) -> None:
    attack, first_bad = ATTACKS[name]
    attack(attacker, chain)
    attacker.commit()
    report = check(chain)
    assert not report.ok
    assert report.first_bad_seq == first_bad, report.problems


def test_e1_rehashing_everything_after_a_change_shows_by_the_checkpoint(
    chain: UUID, attacker: psycopg.Connection
) -> None:
    """The attacker seals anew with the sealer's own code; only the signature is out of reach."""
    attacker.execute("UPDATE audit_event SET actor_label = 'Mallory' WHERE org_id = %s AND seq = 6", [chain])
    attacker.execute(
        "UPDATE audit_event SET seq = NULL, hash = NULL, sealed_at = NULL WHERE org_id = %s", [chain]
    )
    attacker.execute("DELETE FROM audit_chain_head WHERE org_id = %s", [chain])
    attacker.commit()
    assert seal() == EVENTS
    report = check(chain)
    assert not report.ok
    assert report.first_bad_seq == 5, "the change lies in what only the second checkpoint covers: 5 to 8"
    assert report.signed_through == 4


def test_e1_a_truncated_tail_shows_to_whoever_holds_a_checkpoint(
    chain: UUID, attacker: psycopg.Connection
) -> None:
    held = next(json.loads(line) for line in reversed(export_lines(chain)) if b'"type":"checkpoint"' in line)
    held.pop("type")
    attacker.execute("DELETE FROM audit_event WHERE org_id = %s AND seq > 4", [chain])
    attacker.execute("DELETE FROM audit_checkpoint WHERE org_id = %s AND seq > 4", [chain])
    attacker.execute(
        "UPDATE audit_chain_head SET seq = 4, hash = e.hash FROM audit_event e WHERE e.org_id = %s AND e.seq = 4",
        [chain],
    )
    attacker.commit()
    assert check(chain).ok, "nothing within the file betrays it; this is why checkpoints are vaulted"
    report = verify(export_lines(chain), keys(), Checkpoint.from_json(held))
    assert not report.ok
    assert report.first_bad_seq == 5
    assert any("5 to 8" in problem.text for problem in report.problems), report.problems
