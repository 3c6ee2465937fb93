"""What must be known before the organization is: functions in PostgreSQL that answer ids alone (THREATS N1)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

# An organization, and something of its own.
Pair = tuple[UUID, UUID]


def hosts_due(moment: datetime, most: int) -> list[Pair]:
    """Hosts at which a reconciler should look by this moment and at which none is looking, the longest due first."""
    return list(_pairs("SELECT lookup.hosts_due(%s, %s)", moment, most))


def hosts_silent(heard_before: datetime, most: int) -> list[Pair]:
    """Running hosts that are wanted so, and were last heard of before this moment."""
    return list(_pairs("SELECT lookup.hosts_silent(%s, %s)", heard_before, most))


def organizations_with_hosts() -> list[UUID]:
    """The ids of organizations that have a VM, or may have one."""
    return _ids("SELECT lookup.organizations_with_hosts()")


def workspace_files_due(moment: datetime, most: int) -> list[Pair]:
    """Files of workspaces that a reconciler should look at by this moment, the longest due first."""
    return list(_pairs("SELECT lookup.workspace_files_due(%s, %s)", moment, most))


def data_volumes_due(moment: datetime, most: int) -> list[Pair]:
    """Volumes for managed data that a reconciler should look at by this moment, the longest due first."""
    return list(_pairs("SELECT lookup.data_volumes_due(%s, %s)", moment, most))


def _pairs(query: str, *arguments: Any) -> Iterator[Pair]:
    ids = iter(_ids(query, *arguments))
    return zip(ids, ids, strict=True)


def _ids(query: str, *arguments: Any) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(query, arguments)
        return [row[0] for row in cursor.fetchall()]
