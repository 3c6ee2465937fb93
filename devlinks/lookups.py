"""What must be known before the organization is: functions in PostgreSQL that answer ids alone (THREATS N1)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

# An organization, and something of its own.
Pair = tuple[UUID, UUID]


def session_by_digest(digest: str) -> Pair | None:
    """The dev session whose value has this digest."""
    return _pair("SELECT lookup.dev_session_by_digest(%s)", digest)


def code_by_digest(digest: str) -> Pair | None:
    """The one-time code with this digest."""
    return _pair("SELECT lookup.dev_code_by_digest(%s)", digest)


def ticket_by_digest(digest: str) -> Pair | None:
    """The shell ticket with this digest."""
    return _pair("SELECT lookup.shell_ticket_by_digest(%s)", digest)


def host_by_label(label: str) -> Pair | None:
    """The host with this label."""
    return _pair("SELECT lookup.dev_host(%s)", label)


def organization_of_link(link_id: UUID) -> UUID | None:
    """The organization that a link is of."""
    found = _ids("SELECT lookup.organization_of_dev_link(%s)", link_id)
    return found[0] if found else None


def links_expiring(moment: datetime, most: int) -> list[Pair]:
    """Links that time has ended by this moment and whose end is not recorded, the longest over first."""
    return _pairs("SELECT lookup.dev_links_expiring(%s, %s)", moment, most)


def sessions_of_sign_in(console_session_id: UUID) -> list[Pair]:
    """The dev sessions that hang on a console session and were not ended."""
    return _pairs("SELECT lookup.dev_sessions_of_sign_in(%s)", console_session_id)


def organizations_with_spent_codes(moment: datetime, most: int) -> list[UUID]:
    """Organizations that keep codes or tickets which ended before this moment."""
    return _ids("SELECT lookup.organizations_with_spent_codes(%s, %s)", moment, most)


def _pair(query: str, wanted: str) -> Pair | None:
    found = _pairs(query, wanted)
    return found[0] if found else None


def _pairs(query: str, *arguments: Any) -> list[Pair]:
    ids = iter(_ids(query, *arguments))
    return list(zip(ids, ids, strict=True))


def _ids(query: str, *arguments: Any) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(query, arguments)
        return [row[0] for row in cursor.fetchall() if row[0] is not None]
