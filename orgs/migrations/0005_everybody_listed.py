"""Members from before there was a directory are put into it."""

from django.db import migrations

from envforge.tenancy.migrations import LOOKUP_ROLE
from orgs.directory import listed_as, words_of


def enlist_everybody(apps, schema_editor):
    """Enters each organization, since outside of it the owner sees and changes no row (N1), and counts what it wrote."""
    memberships = apps.get_model("orgs", "Membership").objects.using(schema_editor.connection.alias)
    words = apps.get_model("orgs", "MemberWord").objects.using(schema_editor.connection.alias)
    people = apps.get_model("orgs", "Person").objects.using(schema_editor.connection.alias)
    for org_id in _organizations(schema_editor):
        _enter(schema_editor, str(org_id))
        rows = {row.person_id: row for row in memberships.all()}
        found = people.filter(id__in=list(rows)).iterator()
        made = []
        for person in found:
            row = rows[person.id]
            row.listed_as = listed_as(person)
            made += [
                words.model(org_id=org_id, membership=row, word=word, listed_as=row.listed_as)
                for word in words_of(person)
            ]
        listed = memberships.bulk_update(rows.values(), ["listed_as"], batch_size=1_000)
        words.bulk_create(made, batch_size=1_000)
        if listed != len(rows) or words.count() != len(made):
            raise RuntimeError(f"{listed} of {len(rows)} members of {org_id} are listed, by {words.count()} of {len(made)} words.")
    _enter(schema_editor, "")


def _organizations(schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL ROLE {LOOKUP_ROLE}")
        cursor.execute("SELECT id FROM orgs_organization")
        found = [row[0] for row in cursor.fetchall()]
        cursor.execute("RESET ROLE")
        return found


def _enter(schema_editor, org_id):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT set_config('envforge.org_id', %s, true)", [org_id])


class Migration(migrations.Migration):
    dependencies = [("orgs", "0004_directory")]

    operations = [migrations.RunPython(enlist_everybody, migrations.RunPython.noop)]
