"""Why a window ended, what of a month is found by, and which caps a sweep should look at."""

from django.db import migrations, models

from envforge.tenancy.migrations import Lookup, Reads


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0003_walls'),
    ]

    operations = [
        migrations.AddField(
            model_name='cap',
            name='due_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='meterwindow',
            name='end_cause',
            field=models.CharField(blank=True, default='', max_length=20),
        ),
        migrations.AddIndex(
            model_name='cap',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='workspaces_cap_due'),
        ),
        migrations.AddIndex(
            model_name='meterwindow',
            index=models.Index(fields=['org_id', 'closed_at'], name='workspaces_window_until'),
        ),
        migrations.AddConstraint(
            model_name='meterwindow',
            constraint=models.CheckConstraint(condition=models.Q(('disputed_s', 0), ('disputed_s__lte', models.F('seconds')), _connector='OR'), name='workspaces_window_disputed'),
        ),
        Lookup(
            "caps_due",
            arguments="moment timestamptz, most integer",
            returns="SETOF uuid",
            query=(
                "SELECT unnest(ARRAY[org_id, id]) FROM (SELECT org_id, id FROM public.workspaces_cap "
                "WHERE due_at <= moment ORDER BY due_at LIMIT most) due"
            ),
            reads=[Reads("workspaces_cap", ("org_id", "id", "due_at"))],
        ),
    ]
