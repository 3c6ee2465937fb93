"""What is declared in a shell is a lease like a job's: it has a reason and a holder (W7)."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('workspaces', '0010_wake_resources'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='runtime',
            name='keep_alive_until',
        ),
    ]
