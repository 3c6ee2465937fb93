"""What the console's pages and their API reads cost in a large organization, against the same in a small one, in turns.

A thousand organizations, a hundred thousand members: one organization has 20,000 of them, the others 80 each; the
small one that is compared has ten. 400,000 events of half a year. Through Django's whole chain, as a signed-in owner.
"""

import hashlib
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import psycopg

from bench import _django
from bench._figures import Figures, ms, p50, quick
from bench._load import Load, org_id

# isort: split
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from envforge.actor import SYSTEM
from orgs import operations, sessions
from orgs.console.door import COOKIE
from orgs.identity import Identity
from orgs.models import Person
from orgs.roles import Role

GOAL = 1.5
BIG, SMALL = 0, 1
ADDRESSES = {
    "overview": "/o/{slug}/",
    "members": "/o/{slug}/members",
    "members, a middle page": "/o/{slug}/members?after={middle}",
    "members, found by a name": "/o/{slug}/members?q=person+2",
    "members, found by a letter": "/o/{slug}/members?q=p",
    "members, found by an address": "/o/{slug}/members?q=member5@bench.test",
    "timeline": "/o/{slug}/timeline",
    "timeline, one kind": "/o/{slug}/timeline?kind=secret.rotated",
    "API: events": "/api/v1/orgs/{slug}/events",
    "API: organization": "/api/v1/orgs/{slug}",
}

_PEOPLE = """
INSERT INTO orgs_person (id, issuer, subject, email, email_verified, name, is_active, created_at)
SELECT md5('member' || n)::uuid, 'https://issuer.bench/', 'member' || n, 'member' || n || '@bench.test', true, 'Person ' || n, true, now()
FROM generate_series(1, %(members)s) AS n;
"""
_ORGANIZATIONS = """
INSERT INTO orgs_organization (id, slug, name, created_at)
SELECT md5('org' || n)::uuid, 'org-' || n, 'Organization ' || n, now() FROM generate_series(0, %(orgs)s - 1) AS n;
"""
# The first `big` people are organization 0's, the next ten organization 1's, the rest fall to the others in turn.
_MEMBERSHIPS = """
INSERT INTO orgs_membership (id, org_id, person_id, joined_at, listed_as)
SELECT md5('membership' || n)::uuid,
       md5('org' || CASE WHEN n <= %(big)s THEN 0 WHEN n <= %(big)s + 10 THEN 1 ELSE 2 + n %% (%(orgs)s - 2) END)::uuid,
       md5('member' || n)::uuid, now() - n * interval '1 minute', 'person ' || n
FROM generate_series(1, %(members)s) AS n;
"""
# The words that orgs.directory makes of such a person.
_WORDS = """
INSERT INTO orgs_memberword (id, org_id, membership_id, word, listed_as)
SELECT gen_random_uuid(), m.org_id, m.id, w.word, m.listed_as
FROM orgs_membership AS m JOIN orgs_person AS p ON p.id = m.person_id,
     LATERAL unnest(ARRAY[p.email, 'person', replace(lower(p.name), 'person ', ''), p.subject, 'bench.test']) AS w (word);
"""
_GRANTS = """
INSERT INTO orgs_rolegrant (id, org_id, membership_id, scope, scope_id, role, granted_at)
SELECT md5('grant' || id)::uuid, org_id, id, 'organization', org_id, 'developer', now() FROM orgs_membership;
"""


def main() -> int:
    orgs, members, events, rounds = (20, 2_000, 5_000, 3) if quick() else (1_000, 100_000, 400_000, 60)
    _django.migrate()
    until = datetime.now(UTC)
    with _django.superuser() as admin:
        started = time.perf_counter()
        _load_people(admin, orgs, members)
        Load(events, orgs, 26, since=until - timedelta(days=180), until=until, sealed=True).write(admin)
        admin.execute("VACUUM ANALYZE")
        print(f"{members} members, {events} events in {time.perf_counter() - started:.0f} s", flush=True)
    browser = _owner_of(org_id(BIG), org_id(SMALL))
    middle = {BIG: _member(members // 10), SMALL: _member(members // 5 + 5)}
    figures = Figures(f"Pages: {members // 5} members against 10, median / p95, {rounds} rounds in turns")
    for what, address in ADDRESSES.items():
        _compare(figures, browser, what, address, middle, rounds)
    return figures.finish()


def _load_people(admin: psycopg.Connection, orgs: int, members: int) -> None:
    with admin.transaction(), psycopg.ClientCursor(admin) as cursor:
        for statement in (_PEOPLE, _ORGANIZATIONS, _MEMBERSHIPS, _WORDS, _GRANTS):
            cursor.execute(statement, {"orgs": orgs, "members": members, "big": members // 5})


def _member(number: int) -> UUID:
    """The id that the SQL above gives to a person."""
    return UUID(hashlib.md5(f"member{number}".encode(), usedforsecurity=False).hexdigest())


def _owner_of(*org_ids: UUID) -> Client:
    """A browser in which somebody is signed in who owns these organizations."""
    identity = Identity(
        issuer="https://issuer.bench/",
        subject="owner",
        email="owner@bench.test",
        email_verified=True,
        name="Olga",
    )
    _, key = sessions.start_session(identity=identity, browser="Bench")
    owner = Person.objects.get(issuer=identity.issuer, subject=identity.subject)
    for one in org_ids:
        operations.add_member(actor=SYSTEM, org_id=one, person=owner, role=Role.OWNER)
    browser = Client(headers={"host": settings.CONSOLE_HOST})
    browser.cookies[COOKIE] = key
    return browser


def _compare(
    figures: Figures, browser: Client, what: str, address: str, middle: dict[int, UUID], rounds: int
) -> None:
    reads: dict[int, Callable[[], Any]] = {
        which: partial(browser.get, address.format(slug=f"org-{which}", middle=middle[which]))
        for which in (BIG, SMALL)
    }
    queries = {}
    for which, read in reads.items():
        read()  # whatever happens once has happened
        with CaptureQueriesContext(connection) as captured:
            answer = read()
        assert answer.status_code == 200, f"{what}: {answer.status_code}"
        queries[which] = len(captured)
    seconds: dict[int, list[float]] = {BIG: [], SMALL: []}
    for turn in range(rounds):
        for which in (BIG, SMALL) if turn % 2 else (SMALL, BIG):
            began = time.perf_counter()
            reads[which]()
            seconds[which].append(time.perf_counter() - began)
    figures.tell(what, f"{ms(seconds[BIG])}, {queries[BIG]} queries; small {queries[SMALL]}")
    figures.at_most(f"{what}: large / small", p50(seconds[BIG]) / p50(seconds[SMALL]), GOAL)


if __name__ == "__main__":
    sys.exit(main())
