"""Sweeps of this app; the names are wire format."""

from celery import shared_task

from secrets_ref import reconcile


@shared_task(name="secrets_ref.sweep")
def sweep_secrets() -> None:
    """Compare with the store whichever organizations are due."""
    reconcile.sweep()
