"""How members are listed and found: by indexes of the organization, which stay true when a person changes."""

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection, connections, transaction

from envforge import tenancy
from envforge.actor import SYSTEM
from orgs import operations, selectors
from orgs.directory import fold
from orgs.models import Membership, MemberWord, Person
from orgs.roles import Role
from tests.product.world import World


def called(world: World, name: str, email: str, *, verified: bool = True, login: str = "") -> Person:
    person = operations.remember_person(
        issuer="https://issuer.test/",
        subject=f"{login or email}|{world.tag}",
        email=email,
        email_verified=verified,
        name=name,
    )
    operations.add_member(actor=SYSTEM, org_id=world.acme.id, person=person, role=Role.VIEWER)
    return person


def found(world: World, search: str) -> list[str]:
    seen = selectors.members(actor=world.alice.as_actor(), slug=world.acme.slug, search=search)
    return [one.name for one in seen.members]


def test_the_list_is_in_the_order_people_expect(world: World) -> None:
    for name in ("zoe", "Émile", "Eve", "emil", "Ångström"):
        called(world, name, f"{fold(name)}@list.test")
    assert found(world, "") == ["Alice", "Ångström", "emil", "Émile", "Eve", "zoe"]


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("emile", ["Émile Zola-Roux"]),
        ("ZOLA", ["Émile Zola-Roux"]),
        ("roux", ["Émile Zola-Roux"]),
        ("zola em", ["Émile Zola-Roux"]),
        ("zola x", []),
        ("e.zola@letters.test", ["Émile Zola-Roux"]),
        ("LETTERS", ["Émile Zola-Roux", "Mona"]),
        ("hidden.test", []),
        ("ola", []),
        ("%", []),
        ("_", []),
    ],
)
def test_who_is_found_by_what(world: World, search: str, names: list[str]) -> None:
    called(world, "Émile Zola-Roux", "E.Zola@Letters.test")
    called(world, "Mona", "mona@letters.test")
    called(world, "Nat", "nat@hidden.test", verified=False)
    called(world, "Zola Mona Mo", "zm@third.test")
    expected = [*names, "Zola Mona Mo"] if search == "ZOLA" else names
    assert found(world, search) == expected


def test_each_is_found_once_and_the_pages_go_on_where_they_ended(world: World) -> None:
    for number in range(120):
        called(world, f"Person Perry {number:03}", f"person{number:03}@list.test")
    seen, after = [], None
    while True:
        page = selectors.members(
            actor=world.alice.as_actor(), slug=world.acme.slug, search="per", after=after
        )
        seen += [one.name for one in page.members]
        after = page.next_after
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 120


def test_a_new_name_or_address_is_found_at_once_in_every_organization(world: World) -> None:
    person = called(world, "Nora Old", "nora@old.test", login="nora")
    operations.add_member(actor=SYSTEM, org_id=world.mallet.id, person=person, role=Role.VIEWER)
    called(world, "Nora New", "nora@new.test", login="nora")
    assert (found(world, "old"), found(world, "new")) == ([], ["Nora New"])
    theirs = selectors.members(actor=world.mallory.as_actor(), slug=world.mallet.slug, search="new")
    assert [one.name for one in theirs.members] == ["Nora New"]
    called(world, "Nora New", "nora@new.test", verified=False, login="nora")
    assert found(world, "nora@new.test") == [], "N2: unverified, it counts for nothing"


def test_n2_a_member_is_known_by_their_address_in_any_spelling(world: World) -> None:
    called(world, "Bea", "Bea@Acme.TEST")
    with pytest.raises(Exception, match="is a member already"):
        operations.invite_member(
            actor=world.alice.as_actor(),
            org_id=world.acme.id,
            inviter=world.alice,
            email="bea@acme.test",
            role=Role.VIEWER,
        )
    # A name that looks like an address is none.
    called(world, "ceo@acme.test", "mal@x.test")
    by_address = selectors.member_by_email(
        actor=world.alice.as_actor(), slug=world.acme.slug, email="ceo@acme.test"
    )
    assert by_address is None


def test_pages_and_searches_use_the_organizations_indexes(world: World) -> None:
    with tenancy.enter(world.acme.id), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query, index in (
            ("SELECT id FROM orgs_membership ORDER BY listed_as, id LIMIT 51", "orgs_membership_listed"),
            (
                "SELECT membership_id FROM orgs_memberword WHERE word >= 'per' AND word < 'pes' ORDER BY word LIMIT 51",
                "orgs_member_word_found",
            ),
        ):
            cursor.execute(f"EXPLAIN {query}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert index in plan, plan


def test_members_from_before_are_put_into_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The migration, run again over two organizations as they were before it."""
    ours = [world.acme.id, world.mallet.id]
    for org_id in ours:
        with tenancy.enter(org_id):
            Membership.objects.create(person=world.person("Oldie"))
            MemberWord.objects.all().delete()
    migration = import_module("orgs.migrations.0005_everybody_listed")
    with transaction.atomic(using="owner"), connections["owner"].schema_editor(atomic=False) as editor:
        assert set(ours) <= set(migration._organizations(editor))
        monkeypatch.setattr(migration, "_organizations", lambda _: ours)
        migration.enlist_everybody(apps, editor)
    assert found(world, "oldie") == ["Oldie"]
    assert found(world, "") == ["Alice", "Oldie"]
