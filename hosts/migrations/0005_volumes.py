import envforge.ids
import envforge.tenancy
from django.db import migrations, models

from envforge.tenancy.migrations import Lookup, Reads, Wall


class Migration(migrations.Migration):

    dependencies = [
        ('hosts', '0004_walls'),
    ]

    operations = [
        migrations.AddField(
            model_name='workspacefiles',
            name='trouble',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.CreateModel(
            name='DataVolume',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('workspace_id', models.UUIDField()),
                ('wanted_present', models.BooleanField(default=True)),
                ('version', models.PositiveBigIntegerField(default=1)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('trouble', models.TextField(blank=True, default='')),
                ('due_at', models.DateTimeField(null=True)),
                ('removed_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('size_gib', models.PositiveIntegerField()),
                ('zone', models.TextField(blank=True, default='')),
                ('volume_id', models.TextField(blank=True, default='')),
                ('attached_to', models.TextField(blank=True, default='')),
                ('device', models.TextField(blank=True, default='')),
                ('in_use', models.BooleanField(default=False)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='hosts_volume_due')],
                'constraints': [models.UniqueConstraint(fields=('org_id', 'workspace_id'), name='hosts_volume_once'), models.UniqueConstraint(condition=models.Q(('volume_id', ''), _negated=True), fields=('volume_id',), name='hosts_volume_one_row'), models.UniqueConstraint(condition=models.Q(('attached_to', ''), _negated=True), fields=('attached_to', 'device'), name='hosts_volume_device')],
            },
        ),
        Wall("DataVolume", grants=("SELECT", "INSERT", "UPDATE")),
        Lookup(
            "data_volumes_due",
            arguments="moment timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT unnest(ARRAY[org_id, id]) FROM (SELECT org_id, id FROM public.hosts_datavolume "
                "WHERE due_at <= moment ORDER BY due_at LIMIT most) due"
            ),
            reads=[Reads("hosts_datavolume", ("org_id", "id", "due_at"))],
        ),
    ]
