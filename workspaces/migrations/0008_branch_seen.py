"""When a workspace's branch was found in a repository: only what was there can be gone."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0007_runs_due'),
    ]

    operations = [
        migrations.AddField(
            model_name='workspace',
            name='branch_seen_at',
            field=models.DateTimeField(null=True),
        ),
    ]
