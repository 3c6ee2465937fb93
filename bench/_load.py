"""Audit events in the numbers of a year, made by PostgreSQL itself: realistic kinds, facts, people and requests."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

# How many of a hundred events, their kind, their facts.
KINDS = (
    (30, "shell.connected", "{}"),
    (18, "runtime.slept", '{"cause": "idle", "awake_s": 5312}'),
    (18, "runtime.started", '{"services": 3, "ready_s": 9, "size": "medium"}'),
    (12, "secret.consumed", '{"service": "web", "version": 4}'),
    (9, "dev_link.first_used", '{"link_id": "0197a0a2-6c1e-7b63-9f0e-4f1f5d2c8a11"}'),
    (7, "session.started", '{"surface": "console"}'),
    (5, "access.denied", '{"action": "secret.set", "rule": "role"}'),
    (1, "secret.rotated", '{"version": 5}'),
)
NEWCOMER_ONCE_IN = 10_007

# `made` numbers events, organizations and people; md5 spreads their ids as random ones would be.
_INSERT = f"""
INSERT INTO audit_event (id, org_id, at, kind, actor_kind, actor_id, actor_label, target_kind, target_id, target_label,
                         workspace_id, request_id, facts, seq, hash, sealed_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5('event' || n), 1, 3)
        || '8' || substr(md5('event' || n), 4, 15))::uuid,
       md5('org' || org)::uuid, at, (%(kinds)s::text[])[1 + abs(hashint8(n + 3) %% 100)],
       'user', md5('person' || org || ' ' || person)::uuid::text, 'Person ' || person,
       'workspace', md5('workspace' || org || ' ' || workspace)::uuid::text, 'shop/feature-' || workspace,
       md5('workspace' || org || ' ' || workspace)::uuid,
       'req_' || md5('request' || n / 2), (%(facts)s::jsonb[])[1 + abs(hashint8(n + 3) %% 100)],
       CASE WHEN %(sealed)s THEN n END, CASE WHEN %(sealed)s THEN sha256(int8send(n)) END, CASE WHEN %(sealed)s THEN at END
FROM (
    SELECT n,
           CASE WHEN n %% 100 < %(big_percent)s THEN 0 ELSE 1 + abs(hashint8(n) %% greatest(%(orgs)s - 1, 1)) END AS org,
           CASE WHEN n %% {NEWCOMER_ONCE_IN} = 0 THEN 0 ELSE 1 + abs(hashint8(n + 1) %% 40) END AS person,
           abs(hashint8(n + 2) %% 60) AS workspace,
           %(since)s + n * ((%(until)s - %(since)s) / (%(events)s + 1)) AS at
    FROM generate_series(1::bigint, %(events)s) AS n
) AS made
"""


@dataclass(frozen=True, slots=True)
class Load:
    """Events spread evenly over a time; `big_percent` of them are organization 0's, the rest fall to the others."""

    events: int
    orgs: int
    big_percent: int
    since: datetime
    until: datetime
    sealed: bool

    def write(self, admin: psycopg.Connection) -> None:
        """Make the months' partitions and the events. Sealed ones get the columns of sealing without a true chain."""
        admin.execute(
            "SELECT audit_make_partition(month::date) "
            "FROM generate_series(date_trunc('month', %s::timestamptz), %s, interval '1 month') AS month",
            [self.since, self.until],
        )
        spread = [one for one in KINDS for _ in range(one[0])]
        with admin.transaction(), psycopg.ClientCursor(admin) as cursor, without_indexes(cursor):
            if self.sealed:
                # A sealed event cannot be inserted: only a superuser can look away from the triggers.
                cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(
                _INSERT,
                {
                    "kinds": [kind for _, kind, _ in spread],
                    "facts": [facts for _, _, facts in spread],
                    **{name: getattr(self, name) for name in self.__slots__},
                },
            )
        admin.execute("VACUUM (ANALYZE) audit_event")


@contextmanager
def without_indexes(cursor: psycopg.Cursor) -> Iterator[None]:
    """Make the indexes once the rows are there, all but the primary key: that is many times faster."""
    cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
    cursor.execute(
        "SELECT indexdef, indexname FROM pg_indexes WHERE tablename = 'audit_event' AND indexname <> 'audit_event_pkey'"
    )
    indexes = cursor.fetchall()
    for _, name in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for definition, _ in indexes:
        # As the catalogue tells it, the definition is of the parent table alone.
        cursor.execute(definition.replace(" ON ONLY ", " ON "))


def org_id(number: int) -> UUID:
    return _id(f"org{number}")


def person_id(org: int, number: int) -> str:
    """The actor id of one of an organization's forty people, 1 to 40; 0 is the newcomer, of whom there is little to tell."""
    return str(_id(f"person{org} {number}"))


def _id(name: str) -> UUID:
    return UUID(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())
