"""What the application role may do with Django's own tables."""

from django.db import migrations

from envforge.tenancy.migrations import PlatformTable


class Migration(migrations.Migration):
    initial = True
    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        PlatformTable("django_session", grants=["SELECT", "INSERT", "UPDATE", "DELETE"]),
        PlatformTable("django_content_type", grants=["SELECT"]),
        PlatformTable("django_migrations", grants=["SELECT"]),
    ]
