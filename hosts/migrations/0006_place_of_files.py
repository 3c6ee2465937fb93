from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('hosts', '0005_volumes'),
    ]

    operations = [
        migrations.RenameField(model_name='workspacefiles', old_name='access_point', new_name='place'),
    ]
