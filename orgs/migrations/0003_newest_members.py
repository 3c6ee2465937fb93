"""The newest members of a large organization are found without reading all."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orgs', '0002_support'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='membership',
            index=models.Index(fields=['org_id', '-joined_at', '-id'], name='orgs_membership_newest'),
        ),
    ]
