"""The audit's tables (DESIGN 5, THREATS E1, N1): append-only by grants and triggers, partitioned by month."""

from pathlib import Path

from django.db import migrations, models

import envforge.ids
import envforge.tenancy
from envforge.tenancy.migrations import PlatformTable, Wall


def sql(name):
    return (Path(__file__).parent / "sql" / name).read_text()


class Migration(migrations.Migration):
    initial = True
    dependencies = []

    operations = [
        migrations.RunSQL(
            sql("0001_event.sql"),
            "DROP TABLE audit_event; DROP FUNCTION audit_make_partition, audit_refuse",
            state_operations=[
                migrations.CreateModel(
                    name="Event",
                    fields=[
                        ("id", models.UUIDField(primary_key=True, serialize=False)),
                        ("org_id", models.UUIDField()),
                        ("at", models.DateTimeField()),
                        ("kind", models.TextField()),
                        ("actor_kind", models.TextField()),
                        ("actor_id", models.TextField()),
                        ("actor_label", models.TextField()),
                        ("target_kind", models.TextField()),
                        ("target_id", models.TextField()),
                        ("target_label", models.TextField()),
                        ("workspace_id", models.UUIDField(null=True)),
                        ("request_id", models.TextField()),
                        ("facts", models.JSONField(default=dict)),
                        ("seq", models.BigIntegerField(null=True)),
                        ("hash", models.BinaryField(null=True)),
                        ("sealed_at", models.DateTimeField(null=True)),
                    ],
                    options={"db_table": "audit_event"},
                ),
            ],
        ),
        migrations.CreateModel(
            name="ChainHead",
            fields=[
                ("org_id", models.UUIDField(primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField()),
                ("hash", models.BinaryField()),
                ("signed_seq", models.BigIntegerField(default=0)),
                ("signed_at", models.DateTimeField(null=True)),
            ],
            options={"db_table": "audit_chain_head"},
        ),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("id", models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("org_id", models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ("seq", models.BigIntegerField()),
                ("hash", models.BinaryField()),
                ("at", models.DateTimeField()),
                ("key_id", models.TextField()),
                ("signature", models.BinaryField()),
                ("vaulted_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "audit_checkpoint",
                "constraints": [models.UniqueConstraint(fields=["org_id", "seq"], name="audit_checkpoint_once")],
            },
        ),
        migrations.CreateModel(
            name="SigningKey",
            fields=[
                ("key_id", models.TextField(primary_key=True, serialize=False)),
                ("pem", models.TextField()),
                ("first_used_at", models.DateTimeField()),
            ],
            options={"db_table": "audit_signing_key"},
        ),
        PlatformTable("audit_signing_key", grants=["SELECT"]),
        Wall("ChainHead", grants=["SELECT"], organization_exists=False),
        Wall("Checkpoint", grants=["SELECT"], organization_exists=False),
        migrations.RunSQL(sql("0001_sealer.sql"), migrations.RunSQL.noop),
    ]
