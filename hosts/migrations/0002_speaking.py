"""Commands, tokens, reports and spent nonces, with their walls and what is looked up before the organization is known."""

import django.db.models.deletion
import envforge.ids
import envforge.tenancy
from django.db import migrations, models

from envforge.tenancy.migrations import Lookup, PlatformTable, Reads, Wall


class Migration(migrations.Migration):

    dependencies = [
        ('hosts', '0001_machines'),
    ]

    operations = [
        migrations.CreateModel(
            name='SpentNonce',
            fields=[
                ('digest', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('expires_at', models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name='HostToken',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('generation', models.PositiveIntegerField()),
                ('boot_id', models.UUIDField()),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('issued_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('host', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tokens', to='hosts.host')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='HostVoice',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('barred_generation', models.PositiveIntegerField(default=0)),
                ('generation', models.PositiveIntegerField(default=0)),
                ('boot_id', models.UUIDField(null=True)),
                ('sequence', models.PositiveBigIntegerField(default=0)),
                ('protocol', models.PositiveSmallIntegerField(default=0)),
                ('daemon_version', models.CharField(blank=True, default='', max_length=64)),
                ('image_version', models.CharField(blank=True, default='', max_length=64)),
                ('heard_at', models.DateTimeField(null=True)),
                ('free_memory_mib', models.PositiveBigIntegerField(default=0)),
                ('free_disk_mib', models.PositiveBigIntegerField(default=0)),
                ('host', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='voice', to='hosts.host')),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='HostCommand',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('generation', models.PositiveIntegerField()),
                ('workspace_id', models.UUIDField()),
                ('kind', models.TextField()),
                ('key', models.CharField(max_length=200)),
                ('lane', models.TextField(blank=True, default='')),
                ('position', models.BigIntegerField()),
                ('payload', models.JSONField()),
                ('cause', models.CharField(max_length=100)),
                ('created_at', models.DateTimeField()),
                ('not_before', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('lease', models.UUIDField(null=True)),
                ('leased_until', models.DateTimeField(null=True)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('most_attempts', models.PositiveSmallIntegerField()),
                ('step', models.CharField(blank=True, default='', max_length=61)),
                ('output_bytes', models.PositiveBigIntegerField(default=0)),
                ('finished_at', models.DateTimeField(null=True)),
                ('outcome', models.JSONField(null=True)),
                ('failure', models.JSONField(null=True)),
                ('host', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='commands', to='hosts.host')),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('finished_at', None)), fields=['host', 'position'], name='hosts_command_open'), models.Index(fields=['due_at', 'org_id'], name='hosts_command_due'), models.Index(fields=['org_id', 'workspace_id', 'position'], name='hosts_command_workspace')],
                'constraints': [models.UniqueConstraint(fields=('host', 'generation', 'key'), name='hosts_command_once'), models.CheckConstraint(condition=models.Q(models.Q(('failure', None), ('finished_at', None), ('outcome', None)), models.Q(('failure', None), ('finished_at__isnull', False), ('outcome__isnull', False)), models.Q(('failure__isnull', False), ('finished_at__isnull', False), ('outcome', None)), _connector='OR'), name='hosts_command_one_end')],
            },
        ),
        migrations.CreateModel(
            name='HostReport',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('report_id', models.UUIDField()),
                ('taken_at', models.DateTimeField()),
                ('host', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='hosts.host')),
            ],
            options={
                'indexes': [models.Index(fields=['taken_at', 'org_id'], name='hosts_report_taken')],
                'constraints': [models.UniqueConstraint(fields=('host', 'report_id'), name='hosts_report_once')],
            },
        ),
        migrations.RunSQL(
            "CREATE SEQUENCE hosts_command_position OWNED BY hosts_hostcommand.position; "
            "GRANT USAGE ON SEQUENCE hosts_command_position TO envforge_app",
            "DROP SEQUENCE hosts_command_position",
        ),
        Wall("HostCommand"),
        Wall("HostReport"),
        Wall("HostToken"),
        Wall("HostVoice"),
        PlatformTable("hosts_spentnonce", grants=("SELECT", "INSERT", "DELETE")),
        Lookup(
            "host_by_instance",
            arguments="asked text",
            returns="SETOF uuid",
            query=(
                "SELECT unnest(ARRAY[org_id, id]) FROM public.hosts_host WHERE instance_id = asked AND asked <> ''"
            ),
            reads=[Reads("hosts_host", ("id", "org_id", "instance_id"))],
        ),
        Lookup(
            "host_token_by_digest",
            arguments="wanted text",
            returns="SETOF uuid",
            query="SELECT unnest(ARRAY[org_id, id]) FROM public.hosts_hosttoken WHERE digest = wanted",
            reads=[Reads("hosts_hosttoken", ("id", "org_id", "digest"))],
        ),
        Lookup(
            "hosts_with_open_commands",
            arguments="wanted uuid[]",
            returns="SETOF uuid",
            query=(
                "SELECT DISTINCT host_id FROM public.hosts_hostcommand WHERE host_id = ANY (wanted) AND finished_at IS NULL "
                "AND not_before <= now() AND (leased_until IS NULL OR leased_until <= now())"
            ),
            reads=[
                Reads("hosts_hostcommand", ("org_id", "host_id", "finished_at", "not_before", "leased_until")),
            ],
        ),
        Lookup(
            "organizations_with_due_commands",
            arguments="reports_before timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "(SELECT DISTINCT org_id FROM public.hosts_hostcommand WHERE due_at <= now() LIMIT most) UNION "
                "(SELECT DISTINCT org_id FROM public.hosts_hostreport WHERE taken_at < reports_before LIMIT most)"
            ),
            reads=[Reads("hosts_hostcommand", ("due_at",)), Reads("hosts_hostreport", ("org_id", "taken_at"))],
        ),
    ]
