"""What lies with a managed resource is numbered, so that its owner can have it deleted; how resources do is told live (W3)."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0011_declared_in_shells'),
    ]

    operations = [
        migrations.AddField(
            model_name='account',
            name='data_wanted',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='account',
            name='data_observed',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='account',
            name='data_asked_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='account',
            name='data_asked_by',
            field=models.CharField(blank=True, default='', max_length=200),
        ),
        migrations.AddField(
            model_name='runtime',
            name='resources',
            field=models.JSONField(default=dict),
        ),
    ]
