"""Nudges and sweeps of this app."""

from celery import shared_task

from hosts import overdue


@shared_task(name="hosts.commands.sweep")
def sweep_commands() -> None:
    overdue.sweep()
