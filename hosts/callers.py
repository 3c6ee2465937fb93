"""Whose VM speaks, which waits for what: look-ups in PostgreSQL that answer ids alone (THREATS N1)."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import connection


def host_by_instance(instance_id: str) -> tuple[UUID, UUID] | None:
    """The ids of the organization and the host whose present VM is this instance."""
    return _pair("SELECT lookup.host_by_instance(%s)", instance_id)


def host_token_by_digest(digest: str) -> tuple[UUID, UUID] | None:
    """The ids of the organization and the host token with this digest."""
    return _pair("SELECT lookup.host_token_by_digest(%s)", digest)


def hosts_with_open_commands(host_ids: Iterable[UUID]) -> list[UUID]:
    """Those of these hosts for which a command could be leased now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lookup.hosts_with_open_commands(%s)", [list(host_ids)])
        return [row[0] for row in cursor.fetchall()]


def organizations_with_due_commands(reports_before: datetime, most: int) -> list[UUID]:
    """The ids of organizations with commands to give up or forget, or remembered reports from before this moment."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lookup.organizations_with_due_commands(%s, %s)", [reports_before, most])
        return [row[0] for row in cursor.fetchall()]


def _pair(query: str, wanted: str) -> tuple[UUID, UUID] | None:
    with connection.cursor() as cursor:
        cursor.execute(query, [wanted])
        rows = cursor.fetchall()
    return (rows[0][0], rows[1][0]) if rows else None
