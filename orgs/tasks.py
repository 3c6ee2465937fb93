"""Nudges and sweeps of this app."""

from celery import shared_task

from orgs import reconcile, sessions


@shared_task(name="orgs.sessions.end_overdue")
def end_overdue_sessions() -> None:
    sessions.end_overdue_sessions()


@shared_task(name="orgs.overdue.close")
def close_overdue() -> None:
    reconcile.close_overdue()
