"""Projects and what belongs to them, with their walls; what a VM reported is never changed, only decided about."""

import django.core.validators
import django.db.models.deletion
import envforge.ids
import envforge.tenancy
from django.db import migrations, models


from envforge.tenancy.migrations import Wall

DECIDE = "GRANT UPDATE (decision, decided_at, decided_by) ON projects_proposal TO envforge_app"
UNDECIDE = "REVOKE UPDATE (decision, decided_at, decided_by) ON projects_proposal FROM envforge_app"


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('secrets_ref', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Project',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('slug', models.CharField(max_length=40, validators=[django.core.validators.RegexValidator('\\A[a-z0-9](?:-?[a-z0-9]){0,38}\\Z')])),
                ('name', models.CharField(max_length=80)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('archived_at', models.DateTimeField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('org_id', 'slug'), name='projects_project_slug'), models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9](?:-?[a-z0-9]){0,38}$')), name='projects_project_slug_form')],
            },
        ),
        migrations.CreateModel(
            name='Repository',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('name', models.CharField(max_length=40, validators=[django.core.validators.RegexValidator('\\A[a-z0-9](?:-?[a-z0-9]){0,38}\\Z')])),
                ('url', models.CharField(max_length=500)),
                ('default_branch', models.CharField(default='main', max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('removed_at', models.DateTimeField(null=True)),
                ('access', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='secrets_ref.secret')),
                ('project', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='repositories', to='projects.project')),
            ],
        ),
        migrations.CreateModel(
            name='RefusedFile',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('branch', models.CharField(max_length=200)),
                ('commit', models.CharField(max_length=64)),
                ('problems', models.JSONField()),
                ('not_listed', models.PositiveIntegerField(default=0)),
                ('seen_at', models.DateTimeField()),
                ('repository', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='refused_files', to='projects.repository')),
            ],
        ),
        migrations.CreateModel(
            name='Proposal',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('digest', models.CharField(max_length=64)),
                ('text', models.TextField()),
                ('service', models.CharField(max_length=63)),
                ('branch', models.CharField(max_length=200)),
                ('commit', models.CharField(max_length=64)),
                ('proposed_at', models.DateTimeField(auto_now_add=True)),
                ('decision', models.CharField(choices=[('proposed', 'Proposed'), ('approved', 'Approved'), ('rejected', 'Rejected')], default='proposed', max_length=10)),
                ('decided_at', models.DateTimeField(null=True)),
                ('decided_by', models.CharField(blank=True, default='', max_length=200)),
                ('repository', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='proposals', to='projects.repository')),
            ],
        ),
        migrations.CreateModel(
            name='Binding',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('input', models.CharField(max_length=64)),
                ('source', models.CharField(choices=[('secret', 'Secret'), ('literal', 'Literal'), ('route', 'Route'), ('resource', 'Resource')], max_length=10)),
                ('literal', models.CharField(blank=True, default='', max_length=2000)),
                ('resource', models.CharField(blank=True, default='', max_length=130)),
                ('changed_at', models.DateTimeField()),
                ('changed_by', models.CharField(max_length=200)),
                ('secret', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='secrets_ref.secret')),
                ('repository', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='bindings', to='projects.repository')),
                ('route_to', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='projects.repository')),
            ],
        ),
        migrations.CreateModel(
            name='ResourceMode',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('resource', models.CharField(max_length=64)),
                ('mode', models.CharField(choices=[('managed_local', 'EnvForge runs it beside the service'), ('customer_provided', 'You provide it'), ('customer_cloud', 'Your cloud provides it on request'), ('disabled', 'It is not there')], max_length=20)),
                ('owner', models.CharField(max_length=120)),
                ('ready_within_s', models.PositiveIntegerField(default=60)),
                ('cleanup', models.CharField(choices=[('delete', 'Deleted with the workspace'), ('keep', 'Kept; its owner removes it')], default='delete', max_length=10)),
                ('request', models.CharField(blank=True, default='', max_length=500)),
                ('changed_at', models.DateTimeField()),
                ('changed_by', models.CharField(max_length=200)),
                ('repository', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='resource_modes', to='projects.repository')),
            ],
        ),
        migrations.CreateModel(
            name='ResourceValue',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('property', models.CharField(max_length=40)),
                ('literal', models.CharField(blank=True, default='', max_length=500)),
                ('resource_mode', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='values', to='projects.resourcemode')),
                ('secret', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='secrets_ref.secret')),
            ],
        ),
        migrations.AddConstraint(
            model_name='repository',
            constraint=models.UniqueConstraint(condition=models.Q(('removed_at', None)), fields=('org_id', 'project', 'name'), name='projects_repository_name'),
        ),
        migrations.AddConstraint(
            model_name='repository',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9](?:-?[a-z0-9]){0,38}$')), name='projects_repository_name_form'),
        ),
        migrations.AddConstraint(
            model_name='refusedfile',
            constraint=models.UniqueConstraint(fields=('org_id', 'repository', 'branch'), name='projects_refusedfile_branch'),
        ),
        migrations.AddIndex(
            model_name='proposal',
            index=models.Index(condition=models.Q(('decision', 'approved')), fields=['org_id', 'repository', '-decided_at'], name='projects_proposal_approved'),
        ),
        migrations.AddIndex(
            model_name='proposal',
            index=models.Index(condition=models.Q(('decision', 'proposed')), fields=['org_id', 'repository', '-proposed_at'], name='projects_proposal_waiting'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.UniqueConstraint(fields=('org_id', 'repository', 'digest'), name='projects_proposal_once'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('decision', 'proposed')), models.Q(models.Q(('decision', 'proposed'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='projects_proposal_decided'),
        ),
        migrations.AddIndex(
            model_name='binding',
            index=models.Index(condition=models.Q(('secret__isnull', False)), fields=['org_id', 'secret'], name='projects_binding_secret'),
        ),
        migrations.AddConstraint(
            model_name='binding',
            constraint=models.UniqueConstraint(fields=('org_id', 'repository', 'input'), name='projects_binding_once'),
        ),
        migrations.AddConstraint(
            model_name='binding',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('literal', ''), ('resource', ''), ('route_to', None), ('secret__isnull', False), ('source', 'secret')), models.Q(('resource', ''), ('route_to', None), ('secret', None), ('source', 'literal')), models.Q(('literal', ''), ('resource', ''), ('route_to__isnull', False), ('secret', None), ('source', 'route')), models.Q(('literal', ''), ('route_to', None), ('secret', None), ('source', 'resource'), models.Q(('resource', ''), _negated=True)), _connector='OR'), name='projects_binding_one_source'),
        ),
        migrations.AddConstraint(
            model_name='resourcemode',
            constraint=models.UniqueConstraint(fields=('org_id', 'repository', 'resource'), name='projects_resource_mode_once'),
        ),
        migrations.AddIndex(
            model_name='resourcevalue',
            index=models.Index(condition=models.Q(('secret__isnull', False)), fields=['org_id', 'secret'], name='projects_resvalue_secret'),
        ),
        migrations.AddConstraint(
            model_name='resourcevalue',
            constraint=models.UniqueConstraint(fields=('org_id', 'resource_mode', 'property'), name='projects_resource_value_once'),
        ),
        migrations.AddConstraint(
            model_name='resourcevalue',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('literal', ''), ('secret__isnull', False)), models.Q(('secret', None), models.Q(('literal', ''), _negated=True)), _connector='OR'), name='projects_resource_value_one'),
        ),
        Wall("Project"),
        Wall("Repository"),
        Wall("RefusedFile"),
        Wall("Binding"),
        Wall("ResourceMode"),
        Wall("ResourceValue"),
        Wall("Proposal", grants=("SELECT", "INSERT")),
        migrations.RunSQL(DECIDE, UNDECIDE),
    ]
