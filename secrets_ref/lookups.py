"""What must be known before the organization is: functions in PostgreSQL that answer ids alone (THREATS N1)."""

from uuid import UUID

from django.db import connection


def organizations_with_due_secrets(limit: int) -> list[UUID]:
    """The ids of organizations whose secrets are due to be compared with the store, the longest due first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lookup.organizations_with_due_secrets(%s)", [limit])
        return [row[0] for row in cursor.fetchall()]
