from django.db import migrations

# What the timeline filters by, each in the order of its pages: a rare kind in a long history is found as fast as a
# common one. Partitions get theirs when they are attached.
COLUMNS = ("kind", "actor_id", "target_id", "request_id")


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [
        *(
            migrations.RunSQL(
                f"CREATE INDEX audit_event_by_{column} ON audit_event (org_id, {column}, at DESC, id DESC)",
                f"DROP INDEX audit_event_by_{column}",
            )
            for column in COLUMNS
        ),
        migrations.RunSQL(
            "CREATE INDEX audit_event_by_workspace_id ON audit_event (org_id, workspace_id, at DESC, id DESC) "
            "WHERE workspace_id IS NOT NULL",
            "DROP INDEX audit_event_by_workspace_id",
        ),
    ]
