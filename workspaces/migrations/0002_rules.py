"""What must hold of them, and the indexes their reads need."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0001_workspaces'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='workspace',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='workspaces_workspace_due'),
        ),
        migrations.AddConstraint(
            model_name='workspace',
            constraint=models.UniqueConstraint(fields=('org_id', 'slug'), name='workspaces_workspace_slug'),
        ),
        migrations.AddConstraint(
            model_name='workspace',
            constraint=models.UniqueConstraint(condition=models.Q(('wanted', 'deleted'), _negated=True), fields=('org_id', 'project', 'branch'), name='workspaces_workspace_branch'),
        ),
        migrations.AddConstraint(
            model_name='workspace',
            constraint=models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9](?:-?[a-z0-9]){0,38}$')), name='workspaces_workspace_slug_form'),
        ),
        migrations.AddIndex(
            model_name='shellsession',
            index=models.Index(condition=models.Q(('disconnected_at', None)), fields=['org_id', 'workspace'], name='workspaces_session_open'),
        ),
        migrations.AddConstraint(
            model_name='shellsession',
            constraint=models.UniqueConstraint(fields=('org_id', 'session_id'), name='workspaces_session_once'),
        ),
        migrations.AddIndex(
            model_name='shell',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='workspaces_shell_due'),
        ),
        migrations.AddIndex(
            model_name='runtime',
            index=models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='workspaces_runtime_due'),
        ),
        migrations.AddIndex(
            model_name='runtime',
            index=models.Index(condition=models.Q(('sleep_at__isnull', False)), fields=['sleep_at'], name='workspaces_runtime_idle'),
        ),
        migrations.AddConstraint(
            model_name='runtime',
            constraint=models.CheckConstraint(condition=models.Q(('sleep_at', None), ('wanted', 'awake'), _connector='OR'), name='workspaces_runtime_sleeps_once'),
        ),
        migrations.AddIndex(
            model_name='meterwindow',
            index=models.Index(fields=['org_id', 'opened_at'], name='workspaces_window_when'),
        ),
        migrations.AddIndex(
            model_name='meterwindow',
            index=models.Index(fields=['org_id', 'workspace', 'opened_at'], name='workspaces_window_workspace'),
        ),
        migrations.AddConstraint(
            model_name='meterwindow',
            constraint=models.UniqueConstraint(condition=models.Q(('closed_at', None)), fields=('runtime',), name='workspaces_window_one_open'),
        ),
        migrations.AddConstraint(
            model_name='meterwindow',
            constraint=models.UniqueConstraint(fields=('org_id', 'runtime', 'epoch'), name='workspaces_window_epoch'),
        ),
        migrations.AddConstraint(
            model_name='meterwindow',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at', None), ('seconds', None)), models.Q(('closed_at__gte', models.F('opened_at')), ('seconds__isnull', False)), _connector='OR'), name='workspaces_window_closed'),
        ),
        migrations.AddIndex(
            model_name='commandrun',
            index=models.Index(fields=['org_id', 'workspace', '-asked_at', '-id'], name='workspaces_run_when'),
        ),
        migrations.AddIndex(
            model_name='commandrun',
            index=models.Index(condition=models.Q(('finished_at', None)), fields=['org_id', 'workspace'], name='workspaces_run_open'),
        ),
        migrations.AddIndex(
            model_name='commandrun',
            index=models.Index(condition=models.Q(('finished_at__isnull', False), ('output_gone_at', None)), fields=['finished_at', 'org_id'], name='workspaces_run_output'),
        ),
        migrations.AddConstraint(
            model_name='commandrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at', None), _negated=True), models.Q(('duration_ms', None), ('exit_status', None)), _connector='OR'), name='workspaces_run_finished'),
        ),
        migrations.AddConstraint(
            model_name='commandrun',
            constraint=models.CheckConstraint(condition=models.Q(('sent_at', None), ('argv', None), _connector='OR'), name='workspaces_run_forgets_argv'),
        ),
        migrations.AddConstraint(
            model_name='checkout',
            constraint=models.UniqueConstraint(fields=('org_id', 'workspace', 'repository'), name='workspaces_checkout_once'),
        ),
        migrations.AddIndex(
            model_name='certificate',
            index=models.Index(fields=['org_id', 'workspace', '-issued_at'], name='workspaces_certificate_when'),
        ),
        migrations.AddIndex(
            model_name='certificate',
            index=models.Index(condition=models.Q(('revoked_at', None)), fields=['org_id', 'person_id', 'expires_at'], name='workspaces_certificate_held'),
        ),
        migrations.AddConstraint(
            model_name='certificate',
            constraint=models.UniqueConstraint(fields=('serial',), name='workspaces_certificate_serial'),
        ),
        migrations.AddConstraint(
            model_name='cap',
            constraint=models.UniqueConstraint(fields=('org_id', 'workspace'), name='workspaces_cap_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='cap',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('hours', None), ('mode', 'none')), models.Q(models.Q(('mode', 'none'), _negated=True), ('hours__gte', 1)), _connector='OR'), name='workspaces_cap_hours'),
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.UniqueConstraint(fields=('org_id', 'workspace', 'name'), name='workspaces_account_name'),
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.UniqueConstraint(fields=('org_id', 'workspace', 'number'), name='workspaces_account_number'),
        ),
        migrations.AddConstraint(
            model_name='account',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1), ('number__lte', 15)), name='workspaces_account_range'),
        ),
    ]
