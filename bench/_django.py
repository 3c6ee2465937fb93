"""Importing this sets Django up, as a program of its own; it stands before the imports that need that."""

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from urllib.parse import urlsplit

import django
import psycopg

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models import Model  # noqa: E402


def migrate() -> None:
    """Give the empty database its tables."""
    call_command("migrate", database="owner", verbosity=0)


def superuser() -> AbstractContextManager[psycopg.Connection]:
    """A connection that no policy binds: for loading what would take the product months to write."""
    address = urlsplit(os.environ["ENVFORGE_TEST_ADMIN_DATABASE_URL"])
    return psycopg.connect(
        address._replace(path=f"/{settings.DATABASES['default']['NAME']}").geturl(), autocommit=True
    )


def load(admin: psycopg.Connection, kind: type[Model], rows: Iterable[Model]) -> None:
    """Store rows of one model as they are, by COPY: a hundred thousand in seconds."""
    fields = kind._meta.concrete_fields
    columns = ", ".join(str(field.column) for field in fields)
    with admin.cursor().copy(f"COPY {kind._meta.db_table} ({columns}) FROM STDIN") as copy:
        for row in rows:
            values = [field.pre_save(row, add=True) for field in fields]
            copy.write_row(
                [
                    field.get_db_prep_save(value, connection)
                    for field, value in zip(fields, values, strict=True)
                ]
            )
