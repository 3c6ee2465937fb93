"""A ticket names its holder, a person or a program, as certificates do."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('devlinks', '0002_walls'),
    ]

    operations = [
        migrations.RenameField(
            model_name='shellticket',
            old_name='holder_session',
            new_name='holder_id',
        ),
    ]
