"""Hosts, slots, placements and files, each behind its wall; what finds the due ones; what support sees."""

import django.db.models.deletion
import envforge.ids
import envforge.tenancy
from django.db import migrations, models

from envforge.tenancy.migrations import APP_ROLE, Lookup, PlatformTable, Reads, SupportReads, Wall


class Migration(migrations.Migration):

    initial = True

    dependencies = [("orgs", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name='Orphan',
            fields=[
                ('instance_id', models.TextField(primary_key=True, serialize=False)),
                ('state', models.TextField(choices=[('absent', 'Absent'), ('pending', 'Pending'), ('running', 'Running'), ('stopping', 'Stopping'), ('stopped', 'Stopped'), ('ending', 'Ending'), ('ended', 'Ended'), ('vanished', 'Vanished')])),
                ('tagged_org', models.TextField(blank=True, default='')),
                ('tagged_host', models.TextField(blank=True, default='')),
                ('launched_at', models.DateTimeField()),
                ('found_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Host',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('role', models.TextField(choices=[('shell', 'Shell'), ('runtime', 'Runtime')])),
                ('number', models.PositiveIntegerField()),
                ('dedicated_to', models.UUIDField(null=True)),
                ('size', models.TextField(choices=[('small', 'Small'), ('medium', 'Medium'), ('large', 'Large')])),
                ('wanted', models.TextField(choices=[('running', 'Running'), ('stopped', 'Stopped'), ('ended', 'Ended')], default='running')),
                ('wanted_at', models.DateTimeField()),
                ('wanted_cause', models.TextField(default='placement')),
                ('observed', models.TextField(choices=[('absent', 'Absent'), ('pending', 'Pending'), ('running', 'Running'), ('stopping', 'Stopping'), ('stopped', 'Stopped'), ('ending', 'Ending'), ('ended', 'Ended'), ('vanished', 'Vanished')], default='absent')),
                ('observed_at', models.DateTimeField()),
                ('mend', models.TextField(blank=True, choices=[('', 'Nothing'), ('restart', 'Restart'), ('replace', 'Replace')], default='')),
                ('mend_cause', models.TextField(blank=True, default='')),
                ('generation', models.PositiveIntegerField(default=1)),
                ('version', models.PositiveBigIntegerField(default=1)),
                ('due_at', models.DateTimeField(null=True)),
                ('leased_until', models.DateTimeField(null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('trouble', models.TextField(blank=True, default='')),
                ('option', models.PositiveIntegerField(default=0)),
                ('asked_at', models.DateTimeField(null=True)),
                ('instance_id', models.TextField(blank=True, default='')),
                ('zone', models.TextField(blank=True, default='')),
                ('address', models.GenericIPAddressField(null=True)),
                ('image', models.TextField(blank=True, default='')),
                ('running_since', models.DateTimeField(null=True)),
                ('joined_at', models.DateTimeField(null=True)),
                ('heard_at', models.DateTimeField(null=True)),
                ('boot_id', models.UUIDField(null=True)),
                ('unused_since', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('ended_at', models.DateTimeField(null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='hosts_host_due'), models.Index(condition=models.Q(('observed', 'running'), ('wanted', 'running')), fields=['heard_at'], name='hosts_host_heard'), models.Index(condition=models.Q(('wanted', 'ended'), _negated=True), fields=['org_id', 'role', 'size'], name='hosts_host_room')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('instance_id', ''), _negated=True), fields=('instance_id',), name='hosts_host_instance'), models.UniqueConstraint(fields=('org_id', 'role', 'number'), name='hosts_host_number')],
            },
        ),
        migrations.CreateModel(
            name='PlacementPolicy',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('vm_per_workspace', models.BooleanField(default=False)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('org_id',), name='hosts_policy_once')],
            },
        ),
        migrations.CreateModel(
            name='Slot',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('workspace_id', models.UUIDField()),
                ('workspace_label', models.CharField(max_length=120)),
                ('role', models.TextField(choices=[('shell', 'Shell'), ('runtime', 'Runtime')])),
                ('size', models.TextField(choices=[('small', 'Small'), ('medium', 'Medium'), ('large', 'Large')])),
                ('dedicated', models.BooleanField(default=False)),
                ('active', models.BooleanField(default=False)),
                ('active_since', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('released_at', models.DateTimeField(null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(condition=models.Q(('released_at', None)), fields=('org_id', 'workspace_id', 'role'), name='hosts_slot_once')],
            },
        ),
        migrations.CreateModel(
            name='WorkspaceFiles',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('workspace_id', models.UUIDField()),
                ('uid', models.PositiveBigIntegerField(unique=True)),
                ('access_point', models.TextField(blank=True, default='')),
                ('wanted_present', models.BooleanField(default=True)),
                ('version', models.PositiveBigIntegerField(default=1)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('due_at', models.DateTimeField(null=True)),
                ('removed_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='hosts_files_due')],
                'constraints': [models.UniqueConstraint(fields=('org_id', 'workspace_id'), name='hosts_files_once')],
            },
        ),
        migrations.CreateModel(
            name='Placement',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('generation', models.PositiveIntegerField()),
                ('began_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('host', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='placements', to='hosts.host')),
                ('slot', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='placements', to='hosts.slot')),
            ],
            options={
                'indexes': [models.Index(fields=['org_id', 'host', 'began_at'], name='hosts_placement_host'), models.Index(fields=['org_id', 'slot', 'began_at'], name='hosts_placement_slot')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('slot',), name='hosts_placement_one_open'), models.CheckConstraint(condition=models.Q(('ended_at', None), ('ended_at__gte', models.F('began_at')), _connector='OR'), name='hosts_placement_order')],
            },
        ),
        # History is kept: placements are closed, never deleted.
        Wall("Host", grants=("SELECT", "INSERT", "UPDATE")),
        Wall("Slot", grants=("SELECT", "INSERT", "UPDATE")),
        Wall("PlacementPolicy", grants=("SELECT", "INSERT", "UPDATE")),
        Wall("WorkspaceFiles", grants=("SELECT", "INSERT", "UPDATE")),
        Wall("Placement", grants=("SELECT", "INSERT", "UPDATE")),
        # Accounts are numbered over all organizations: files are shared between VMs, and no two workspaces may own the same.
        migrations.RunSQL(
            f"CREATE SEQUENCE hosts_workspace_number; GRANT USAGE ON SEQUENCE hosts_workspace_number TO {APP_ROLE}",
            "DROP SEQUENCE hosts_workspace_number",
        ),
        Lookup(
            "hosts_due",
            arguments="moment timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT unnest(ARRAY[org_id, id]) FROM (SELECT org_id, id FROM public.hosts_host WHERE due_at <= moment "
                "AND (leased_until IS NULL OR leased_until <= moment) ORDER BY due_at LIMIT most) due"
            ),
            reads=[Reads("hosts_host", ("org_id", "id", "due_at", "leased_until"))],
        ),
        Lookup(
            "hosts_silent",
            arguments="heard_before timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT unnest(ARRAY[org_id, id]) FROM (SELECT org_id, id FROM public.hosts_host "
                "WHERE wanted = 'running' AND observed = 'running' AND heard_at < heard_before AND due_at IS NULL "
                "ORDER BY heard_at LIMIT most) silent"
            ),
            reads=[Reads("hosts_host", ("org_id", "id", "wanted", "observed", "heard_at", "due_at"))],
        ),
        Lookup(
            "organizations_with_hosts",
            arguments="",
            returns="SETOF uuid",
            query="SELECT DISTINCT org_id FROM public.hosts_host WHERE observed <> 'ended'",
            reads=[Reads("hosts_host", ("org_id", "observed"))],
        ),
        Lookup(
            "workspace_files_due",
            arguments="moment timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT unnest(ARRAY[org_id, id]) FROM (SELECT org_id, id FROM public.hosts_workspacefiles "
                "WHERE due_at <= moment ORDER BY due_at LIMIT most) due"
            ),
            reads=[Reads("hosts_workspacefiles", ("org_id", "id", "due_at"))],
        ),
        SupportReads(
            "hosts_host",
            (
                *("id", "org_id", "role", "size", "wanted", "wanted_at", "wanted_cause", "observed", "observed_at"),
                *("mend", "mend_cause", "generation", "due_at", "attempts", "failures", "trouble", "instance_id", "zone"),
                *("image", "running_since", "joined_at", "heard_at", "unused_since", "created_at", "ended_at"),
            ),
        ),
        PlatformTable("hosts_orphan", grants=("SELECT", "INSERT", "UPDATE", "DELETE")),
        SupportReads(
            "hosts_orphan",
            ("instance_id", "state", "tagged_org", "tagged_host", "launched_at", "found_at"),
            walled=False,
        ),
        SupportReads("hosts_placement", ("id", "org_id", "host_id", "generation", "began_at", "ended_at")),
    ]
