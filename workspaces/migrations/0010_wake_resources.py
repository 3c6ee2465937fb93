"""How the managed resources came up at each wake, for the workspace's page (W3, W10)."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0009_trees_changed'),
    ]

    operations = [
        migrations.AddField(
            model_name='wake',
            name='resources',
            field=models.JSONField(default=dict),
        ),
    ]
