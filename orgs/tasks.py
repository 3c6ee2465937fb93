"""Nudges and sweeps of this app."""

from celery import shared_task

from orgs import sessions, staff, visits


@shared_task(name="orgs.sessions.end_overdue")
def end_overdue_sessions() -> None:
    sessions.end_overdue_sessions()


@shared_task(name="orgs.staff.end_overdue")
def end_overdue_support() -> None:
    visits.end_overdue_visits()
    staff.end_overdue_grants()
