"""Celery's way to the outbox; the names are wire format."""

from uuid import UUID

from celery import shared_task

from notices import reconcile


@shared_task(name="notices.email.send")
def send_email(org_id: str, email_id: str) -> None:
    """Take the step that is due for one e-mail, if one is."""
    reconcile.send(UUID(org_id), UUID(email_id))


@shared_task(name="notices.email.sweep")
def sweep_email() -> None:
    """Take every step that is due and that no nudge has brought about."""
    reconcile.sweep()
