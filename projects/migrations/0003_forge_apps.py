"""Apps of organizations at their forges, and which of the repositories they read."""

import django.core.validators
import django.db.models.deletion
import envforge.ids
import envforge.tenancy
from django.db import migrations, models

from envforge.tenancy.migrations import Wall, WallRelation


class Migration(migrations.Migration):

    dependencies = [
        ('projects', '0002_undecided_proposals'),
        ('secrets_ref', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='ForgeApp',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('name', models.CharField(max_length=40, validators=[django.core.validators.RegexValidator('\\A[a-z0-9](?:-?[a-z0-9]){0,38}\\Z')])),
                ('api_url', models.CharField(max_length=200)),
                ('git_url', models.CharField(max_length=300)),
                ('client_id', models.CharField(max_length=60)),
                ('installation', models.CharField(max_length=40)),
                ('key_arn', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('removed_at', models.DateTimeField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('removed_at', None)), fields=('org_id', 'name'), name='projects_forgeapp_name')],
            },
        ),
        migrations.AddField(
            model_name='repository',
            name='app',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='repositories', to='projects.forgeapp'),
        ),
        migrations.AddConstraint(
            model_name='repository',
            constraint=models.CheckConstraint(condition=models.Q(('access', None), ('app', None), _connector='OR'), name='projects_repository_one_access'),
        ),
        Wall("ForgeApp"),
        WallRelation("Repository", "app"),
    ]
