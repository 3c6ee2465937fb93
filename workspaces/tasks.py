"""Nudges and sweeps of this app."""

from uuid import UUID

from celery import shared_task

from workspaces import reconcile
from workspaces.reconcile import removal, runtimes, shells


@shared_task(name="workspaces.runtime.reconcile")
def reconcile_runtime(org_id: str, runtime_id: str) -> None:
    runtimes.reconcile(UUID(org_id), UUID(runtime_id))


@shared_task(name="workspaces.shell.reconcile")
def reconcile_shell(org_id: str, shell_id: str) -> None:
    shells.reconcile(UUID(org_id), UUID(shell_id))


@shared_task(name="workspaces.workspace.reconcile")
def reconcile_workspace(org_id: str, workspace_id: str) -> None:
    removal.reconcile(UUID(org_id), UUID(workspace_id))


@shared_task(name="workspaces.due.sweep")
def sweep_due() -> None:
    reconcile.sweep()
