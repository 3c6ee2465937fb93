"""Importing this sets Django up, as a program of its own; it stands before the imports that need that."""

import os
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import django
import psycopg

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402


def migrate() -> None:
    """Give the empty database its tables."""
    call_command("migrate", database="owner", verbosity=0)


def superuser() -> AbstractContextManager[psycopg.Connection]:
    """A connection that no policy binds: for loading what would take the product months to write."""
    address = urlsplit(os.environ["ENVFORGE_TEST_ADMIN_DATABASE_URL"])
    return psycopg.connect(
        address._replace(path=f"/{settings.DATABASES['default']['NAME']}").geturl(), autocommit=True
    )
