"""The application may forget proposals that nobody has decided about, and no others (W2)."""

from django.db import migrations

FORGET = [
    "GRANT DELETE ON projects_proposal TO envforge_app",
    "CREATE POLICY undecided ON projects_proposal AS RESTRICTIVE FOR DELETE USING (decision = 'proposed')",
]
KEEP = [
    "DROP POLICY undecided ON projects_proposal",
    "REVOKE DELETE ON projects_proposal FROM envforge_app",
]


class Migration(migrations.Migration):
    dependencies = [("projects", "0001_projects")]

    operations = [migrations.RunSQL(FORGET, KEEP)]
