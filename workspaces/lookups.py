"""What sweeps must know before the organization is: functions in PostgreSQL that answer ids alone (THREATS N1)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

# An organization, and something of its own.
Pair = tuple[UUID, UUID]


def workspaces_due(moment: datetime, most: int) -> list[Pair]:
    """Workspaces at which a reconciler should look by this moment, the longest due first."""
    return _pairs("SELECT lookup.workspaces_due(%s, %s)", moment, most)


def shells_due(moment: datetime, most: int) -> list[Pair]:
    """The same of shells."""
    return _pairs("SELECT lookup.shells_due(%s, %s)", moment, most)


def runtimes_due(moment: datetime, most: int) -> list[Pair]:
    """The same of runtimes."""
    return _pairs("SELECT lookup.runtimes_due(%s, %s)", moment, most)


def runtimes_idle(moment: datetime, most: int) -> list[Pair]:
    """Runtimes that may have been idle long enough to sleep."""
    return _pairs("SELECT lookup.runtimes_idle(%s, %s)", moment, most)


def caps_due(moment: datetime, most: int) -> list[Pair]:
    """Caps whose standing should be looked at, the longest due first."""
    return _pairs("SELECT lookup.caps_due(%s, %s)", moment, most)


def host_news(moment: datetime, most: int) -> list[Pair]:
    """What became of VMs and was not followed up by this moment, the oldest first."""
    return _pairs("SELECT lookup.workspace_host_news(%s, %s)", moment, most)


def runs_due(moment: datetime, most: int) -> list[Pair]:
    """The same of commands that are not over."""
    return _pairs("SELECT lookup.runs_due(%s, %s)", moment, most)


def organizations_with_old_output(finished_before: datetime, most: int) -> list[UUID]:
    """Organizations that keep output of commands which ended before this moment."""
    return _ids("SELECT lookup.organizations_with_old_output(%s, %s)", finished_before, most)


def organizations_with_meter() -> list[UUID]:
    """Organizations of which some runtime was ever awake."""
    return _ids("SELECT lookup.organizations_with_meter()")


def _pairs(query: str, moment: datetime, most: int) -> list[Pair]:
    ids = iter(_ids(query, moment, most))
    return list(zip(ids, ids, strict=True))


def _ids(query: str, *arguments: Any) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(query, arguments)
        return [row[0] for row in cursor.fetchall()]
