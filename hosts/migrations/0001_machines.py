"""Hosts, slots, placements and files, each behind its wall."""

import django.db.models.deletion
import envforge.ids
import envforge.tenancy
from django.db import migrations, models

from envforge.tenancy.migrations import Wall


class Migration(migrations.Migration):

    initial = True

    dependencies = [("orgs", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name='Host',
            fields=[
                ('id', models.UUIDField(default=envforge.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('org_id', models.UUIDField(default=envforge.tenancy.current_org, editable=False)),
                ('role', models.TextField(choices=[('shell', 'Shell'), ('runtime', 'Runtime')])),
                ('dedicated_to', models.UUIDField(null=True)),
                ('size', models.TextField(choices=[('small', 'Small'), ('medium', 'Medium'), ('large', 'Large')])),
                ('wanted', models.TextField(choices=[('running', 'Running'), ('stopped', 'Stopped'), ('ended', 'Ended')], default='running')),
                ('wanted_at', models.DateTimeField()),
                ('observed', models.TextField(choices=[('absent', 'Absent'), ('pending', 'Pending'), ('running', 'Running'), ('stopping', 'Stopping'), ('stopped', 'Stopped'), ('ending', 'Ending'), ('ended', 'Ended'), ('vanished', 'Vanished')], default='absent')),
                ('observed_at', models.DateTimeField()),
                ('generation', models.PositiveIntegerField(default=1)),
                ('version', models.PositiveBigIntegerField(default=1)),
                ('due_at', models.DateTimeField(null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('trouble', models.TextField(blank=True, default='')),
                ('instance_id', models.TextField(blank=True, default='')),
                ('zone', models.TextField(blank=True, default='')),
                ('address', models.GenericIPAddressField(null=True)),
                ('image', models.TextField(blank=True, default='')),
                ('joined_at', models.DateTimeField(null=True)),
                ('heard_at', models.DateTimeField(null=True)),
                ('boot_id', models.UUIDField(null=True)),
                ('unused_since', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='hosts_host_due'), models.Index(condition=models.Q(('wanted', 'ended'), _negated=True), fields=['org_id', 'role', 'size'], name='hosts_host_room')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('instance_id', ''), _negated=True), fields=('instance_id',), name='hosts_host_instance')],
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
                ('volume_id', models.TextField(blank=True, default='')),
                ('volume_gib', models.PositiveIntegerField(default=0)),
                ('wanted_present', models.BooleanField(default=True)),
                ('version', models.PositiveBigIntegerField(default=1)),
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
        Wall("WorkspaceFiles", grants=("SELECT", "INSERT", "UPDATE")),
        Wall("Placement", grants=("SELECT", "INSERT", "UPDATE")),
    ]
