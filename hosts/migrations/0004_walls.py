import django.contrib.postgres.fields
from django.db import migrations, models

from envforge.tenancy.migrations import SupportReads


class Migration(migrations.Migration):

    dependencies = [
        ('hosts', '0003_placement_when'),
    ]

    operations = [
        migrations.AddField(
            model_name='host',
            name='missing_walls',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), null=True, size=None),
        ),
        SupportReads("hosts_host", ("missing_walls",), walled=False),
    ]
