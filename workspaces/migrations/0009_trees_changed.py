"""How often a wake was asked for anew since working trees had changed: each ask of its VM has a key of its own."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0008_branch_seen'),
    ]

    operations = [
        migrations.AddField(
            model_name='wake',
            name='trees_changed',
            field=models.PositiveSmallIntegerField(default=0),
        ),
    ]
