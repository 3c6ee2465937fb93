"""Nudges and sweeps of this app."""

from uuid import UUID

from celery import shared_task

from hosts import adrift, files, fleet, overdue, reconcile, volumes


@shared_task(name="hosts.host.reconcile")
def reconcile_host(org_id: str, host_id: str) -> None:
    reconcile.reconcile(UUID(org_id), UUID(host_id))


@shared_task(name="hosts.host.look")
def look_at_host(org_id: str, host_id: str) -> None:
    reconcile.reconcile(UUID(org_id), UUID(host_id), look=True)


@shared_task(name="hosts.due.sweep")
def sweep_due() -> None:
    reconcile.sweep()


@shared_task(name="hosts.fleet.compare")
def compare_fleet() -> None:
    fleet.compare()


@shared_task(name="hosts.commands.sweep")
def sweep_commands() -> None:
    overdue.sweep()


@shared_task(name="hosts.files.settle")
def settle_files(org_id: str, files_id: str) -> None:
    files.settle(UUID(org_id), UUID(files_id))


@shared_task(name="hosts.files.sweep")
def sweep_files() -> None:
    files.sweep()


@shared_task(name="hosts.volumes.settle")
def settle_volume(org_id: str, volume_id: str) -> None:
    volumes.settle(UUID(org_id), UUID(volume_id))


@shared_task(name="hosts.volumes.sweep")
def sweep_volumes() -> None:
    volumes.sweep()


@shared_task(name="hosts.volumes.compare")
def compare_volumes() -> None:
    adrift.compare()
