"""When a reconciler should look at a command, who cancelled it, and how its receipt is found from the VM's answer."""

from django.db import migrations, models

from envforge.tenancy.migrations import Lookup, Reads


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0006_meter_organizations'),
    ]

    operations = [
        migrations.AddField(
            model_name='commandrun',
            name='cancelled_by',
            field=models.CharField(blank=True, default='', max_length=200),
        ),
        migrations.AddField(
            model_name='commandrun',
            name='due_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='commandrun',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='workspaces_run_due'),
        ),
        migrations.AddIndex(
            model_name='commandrun',
            index=models.Index(condition=models.Q(('host_command_id__isnull', False)), fields=['org_id', 'host_command_id'], name='workspaces_run_command'),
        ),
        Lookup(
            "runs_due",
            arguments="moment timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT unnest(ARRAY[org_id, id]) FROM (SELECT org_id, id FROM public.workspaces_commandrun "
                "WHERE due_at <= moment ORDER BY due_at LIMIT most) due"
            ),
            reads=[Reads("workspaces_commandrun", ("org_id", "id", "due_at"))],
        ),
    ]
