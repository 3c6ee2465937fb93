"""What must be known before the organization is: functions in PostgreSQL that answer ids alone (THREATS N1)."""

from datetime import datetime
from uuid import UUID

from django.db import connection


def organization_by_slug(slug: str) -> UUID | None:
    """The id of the organization with this slug."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lookup.organization_by_slug(%s)", [slug])
        row = cursor.fetchone()
    return row[0] if row else None


def organizations_of_person(person_id: UUID) -> list[UUID]:
    """The ids of the organizations the person is a member of, the oldest membership first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lookup.organizations_of_person(%s)", [person_id])
        return [row[0] for row in cursor.fetchall()]


def organization_of_invitation(invitation_id: UUID) -> UUID | None:
    """The id of the organization that an invitation is of."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lookup.organization_of_invitation(%s)", [invitation_id])
        row = cursor.fetchone()
    return row[0] if row else None


def invitations_of_email(email: str) -> list[UUID]:
    """The ids of the open invitations to an address; the caller has made sure that it is verified."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lookup.invitations_of_email(%s)", [email.lower()])
        return [row[0] for row in cursor.fetchall()]


def token_by_digest(digest: str) -> tuple[UUID, UUID] | None:
    """The ids of the organization and the token with this digest."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lookup.token_by_digest(%s)", [digest])
        rows = cursor.fetchall()
    return (rows[0][0], rows[1][0]) if rows else None


def organizations_with_overdue(before: datetime, most: int) -> list[UUID]:
    """The ids of organizations with an invitation or token that expired before this moment and is not closed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT lookup.organizations_with_overdue(%s, %s)", [before, most])
        return [row[0] for row in cursor.fetchall()]
