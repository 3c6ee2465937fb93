"""Secrets of the customer's own account, through a role; a path without one is still the organization's own."""

import django.db.models.deletion
import envforge.ids
import envforge.tenancy
from django.db import migrations, models

from envforge.tenancy.migrations import Wall, WallRelation

PATHS = """
ALTER TABLE secrets_ref_secret ADD CONSTRAINT secrets_ref_secret_own_path CHECK (
    (role_id IS NOT NULL OR
     path = '/envforge/' || replace(org_id::text, '-', '') || '/' ||
            replace(coalesce(workspace_id::text, project_id::text, 'org'), '-', '') || '/' || name)
    AND name ~ '^[A-Za-z][A-Za-z0-9_.-]{0,63}$')
"""


class Migration(migrations.Migration):

    dependencies = [
        ('secrets_ref', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='CustomerRole',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('role_arn', models.CharField(max_length=150)),
                ('region', models.CharField(max_length=30)),
                ('external_id', models.CharField(max_length=60)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('checked_at', models.DateTimeField(null=True)),
                ('trouble', models.CharField(blank=True, default='unchecked', max_length=20)),
                ('removed_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='secret',
            name='secrets_ref_secret_one_live',
        ),
        migrations.AddConstraint(
            model_name='customerrole',
            constraint=models.UniqueConstraint(condition=models.Q(('removed_at', None)), fields=('org_id', 'role_arn', 'region'), name='secrets_ref_customerrole_one'),
        ),
        migrations.AddField(
            model_name='secret',
            name='role',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='secrets', to='secrets_ref.customerrole'),
        ),
        migrations.AddConstraint(
            model_name='secret',
            constraint=models.UniqueConstraint(condition=models.Q(('deleted_at', None)), fields=('org_id', 'project_id', 'workspace_id', 'name'), name='secrets_ref_secret_one_live', nulls_distinct=False),
        ),
        Wall("CustomerRole"),
        WallRelation("Secret", "role"),
        migrations.RunSQL("ALTER TABLE secrets_ref_secret DROP CONSTRAINT secrets_ref_secret_own_path", migrations.RunSQL.noop),
        migrations.RunSQL(PATHS, "ALTER TABLE secrets_ref_secret DROP CONSTRAINT secrets_ref_secret_own_path"),
    ]
