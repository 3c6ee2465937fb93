"""What became of VMs, kept until it is followed up; and when a workspace's files were deleted."""

import envforge.ids
import envforge.tenancy
from django.db import migrations, models

from envforge.tenancy.migrations import Lookup, Reads, Wall


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0004_meter_ends'),
    ]

    operations = [
        migrations.AddField(
            model_name='workspace',
            name='files_deleted_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name='HostNews',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('host_id', models.UUIDField()),
                ('generation', models.PositiveIntegerField()),
                ('change', models.CharField(max_length=12)),
                ('cause', models.CharField(blank=True, default='', max_length=60)),
                ('heard_at', models.DateTimeField(null=True)),
                ('at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['at'], name='workspaces_news_at')],
            },
        ),
        Wall("HostNews"),
        Lookup(
            "workspace_host_news",
            arguments="moment timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT unnest(ARRAY[org_id, id]) FROM (SELECT org_id, id FROM public.workspaces_hostnews "
                "WHERE at <= moment ORDER BY at, id LIMIT most) news"
            ),
            reads=[Reads("workspaces_hostnews", ("org_id", "id", "at"))],
        ),
    ]
