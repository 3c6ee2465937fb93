"""Nudges and sweeps of this app."""

from celery import shared_task

from devlinks import reconcile


@shared_task(name="devlinks.sweep")
def sweep() -> None:
    reconcile.sweep()


@shared_task(name="devlinks.tidy")
def tidy() -> None:
    reconcile.tidy()
