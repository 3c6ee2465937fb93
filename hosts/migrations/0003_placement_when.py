from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('hosts', '0002_speaking'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='placement',
            index=models.Index(fields=['org_id', '-began_at', '-id'], name='hosts_placement_when'),
        ),
    ]
