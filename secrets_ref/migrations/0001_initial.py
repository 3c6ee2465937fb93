"""Secrets by name, path and version, with their walls; a path that is not of its own organization cannot be stored."""

import django.db.models.deletion
import envforge.ids
import envforge.tenancy
from django.db import migrations, models

from envforge.tenancy.migrations import Lookup, Reads, SupportReads, Wall

OWN_PATH = """
ALTER TABLE secrets_ref_secret ADD CONSTRAINT secrets_ref_secret_own_path CHECK (
    path = '/envforge/' || replace(org_id::text, '-', '') || '/' ||
           replace(coalesce(workspace_id::text, project_id::text, 'org'), '-', '') || '/' || name
    AND name ~ '^[A-Za-z][A-Za-z0-9_.-]{0,63}$')
"""

class Migration(migrations.Migration):

    initial = True

    dependencies = [('orgs', '0002_support')]

    operations = [
        migrations.CreateModel(
            name='Secret',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('project_id', models.UUIDField(null=True)),
                ('workspace_id', models.UUIDField(null=True)),
                ('name', models.CharField(max_length=64)),
                ('path', models.CharField(max_length=200)),
                ('wanted', models.CharField(choices=[('present', 'Present'), ('absent', 'Absent')], default='present', max_length=10)),
                ('wanted_at', models.DateTimeField()),
                ('wanted_by_kind', models.CharField(max_length=20)),
                ('wanted_by_id', models.CharField(max_length=60)),
                ('wanted_by', models.CharField(max_length=200)),
                ('generation', models.PositiveIntegerField(default=1)),
                ('version', models.PositiveIntegerField(null=True)),
                ('settled_version', models.PositiveIntegerField(default=0)),
                ('modified_at', models.DateTimeField(null=True)),
                ('drift', models.CharField(blank=True, choices=[('', 'None'), ('changed', 'Changed'), ('deleted', 'Deleted')], default='', max_length=10)),
                ('drifted_at', models.DateTimeField(null=True)),
                ('changed_by', models.CharField(blank=True, default='', max_length=200)),
                ('changed_at', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('deleted_at', None)), fields=['org_id', 'name', 'id'], name='secrets_ref_secret_live')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('deleted_at', None)), fields=('org_id', 'path'), name='secrets_ref_secret_one_live'), models.CheckConstraint(condition=models.Q(('workspace_id', None), ('project_id__isnull', False), _connector='OR'), name='secrets_ref_secret_place')],
            },
        ),
        migrations.CreateModel(
            name='Store',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('key_wanted_at', models.DateTimeField(null=True)),
                ('key_leased_until', models.DateTimeField(null=True)),
                ('key_arn', models.TextField(blank=True, default='')),
                ('key_observed_at', models.DateTimeField(null=True)),
                ('due_at', models.DateTimeField()),
                ('compared_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['due_at', 'org_id'], name='secrets_ref_store_due')],
                'constraints': [models.UniqueConstraint(fields=('org_id',), name='secrets_ref_store_one')],
            },
        ),
        migrations.CreateModel(
            name='Consumption',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('generation', models.PositiveIntegerField()),
                ('version', models.PositiveIntegerField()),
                ('workspace_id', models.UUIDField()),
                ('service', models.CharField(max_length=63)),
                ('host_id', models.UUIDField()),
                ('run_id', models.UUIDField()),
                ('consumed_at', models.DateTimeField()),
                ('running', models.BooleanField(default=True)),
                ('secret', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='secrets_ref.secret')),
            ],
            options={
                'indexes': [models.Index(fields=['org_id', 'host_id'], name='secrets_ref_consumption_host'), models.Index(condition=models.Q(('running', True)), fields=['org_id', 'workspace_id'], name='secrets_ref_consumption_ws')],
                'constraints': [models.UniqueConstraint(fields=('org_id', 'secret', 'workspace_id', 'service', 'host_id', 'generation', 'version'), name='secrets_ref_consumption_once'), models.UniqueConstraint(condition=models.Q(('running', True)), fields=('org_id', 'secret', 'workspace_id', 'service'), name='secrets_ref_consumption_running')],
            },
        ),
        migrations.CreateModel(
            name='SecretVersion',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('generation', models.PositiveIntegerField(default=1)),
                ('version', models.PositiveIntegerField(null=True)),
                ('cause', models.CharField(choices=[('set', 'Set'), ('rotated', 'Rotated'), ('imported', 'Imported'), ('outside', 'Outside')], max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('outcome', models.CharField(choices=[('asked', 'Asked'), ('written', 'Written'), ('refused', 'Refused'), ('lost', 'Lost')], default='asked', max_length=10)),
                ('trouble', models.CharField(blank=True, default='', max_length=20)),
                ('asked_at', models.DateTimeField()),
                ('asked_by_kind', models.CharField(max_length=20)),
                ('asked_by_id', models.CharField(max_length=60)),
                ('asked_by', models.CharField(max_length=200)),
                ('leased_until', models.DateTimeField()),
                ('observed_at', models.DateTimeField(null=True)),
                ('secret', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='secrets_ref.secret')),
            ],
            options={
                'indexes': [models.Index(fields=['org_id', 'secret', '-asked_at'], name='secrets_ref_version_newest'), models.Index(condition=models.Q(('outcome', 'asked')), fields=['org_id', 'secret'], name='secrets_ref_version_asked')],
                'constraints': [models.UniqueConstraint(fields=('org_id', 'secret', 'generation', 'version'), name='secrets_ref_version_once'), models.CheckConstraint(condition=models.Q(models.Q(('outcome', 'written'), _negated=True), ('version__isnull', False), _connector='OR'), name='secrets_ref_version_written')],
            },
        ),
        Wall("Secret"),
        Wall("Store"),
        Wall("SecretVersion"),
        Wall("Consumption"),
        migrations.RunSQL(OWN_PATH, migrations.RunSQL.noop),
        Lookup(
            "organizations_with_due_secrets",
            arguments="wanted integer",
            returns="SETOF uuid",
            query="SELECT org_id FROM public.secrets_ref_store WHERE due_at <= now() ORDER BY due_at, org_id LIMIT wanted",
            reads=[Reads("secrets_ref_store", ("org_id", "due_at"))],
        ),
        SupportReads("secrets_ref_secret", ("id", "org_id")),
        SupportReads("secrets_ref_store", ("id", "org_id", "compared_at")),
    ]
