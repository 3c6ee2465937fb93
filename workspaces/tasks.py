"""Nudges and sweeps of this app."""

from uuid import UUID

from celery import shared_task

from workspaces import idle, news
from workspaces.reconcile import commands, removal, runtimes, shells, sweeps


@shared_task(name="workspaces.runtime.reconcile")
def reconcile_runtime(org_id: str, runtime_id: str) -> None:
    runtimes.reconcile(UUID(org_id), UUID(runtime_id))


@shared_task(name="workspaces.routes.gone")
def stop_at_once(org_id: str, workspace_id: str) -> None:
    runtimes.stop_at_once(UUID(org_id), UUID(workspace_id))


@shared_task(name="workspaces.shell.reconcile")
def reconcile_shell(org_id: str, shell_id: str) -> None:
    shells.reconcile(UUID(org_id), UUID(shell_id))


@shared_task(name="workspaces.workspace.reconcile")
def reconcile_workspace(org_id: str, workspace_id: str) -> None:
    removal.reconcile(UUID(org_id), UUID(workspace_id))


@shared_task(name="workspaces.run.reconcile")
def reconcile_run(org_id: str, run_id: str) -> None:
    commands.reconcile(UUID(org_id), UUID(run_id))


@shared_task(name="workspaces.runs.reconcile")
def reconcile_runs(org_id: str, workspace_id: str) -> None:
    commands.reconcile_all(UUID(org_id), UUID(workspace_id))


@shared_task(name="workspaces.output.sweep")
def sweep_output() -> None:
    commands.sweep_output()


@shared_task(name="workspaces.host_news.follow")
def follow_host_news(org_id: str, news_id: str) -> None:
    news.follow(UUID(org_id), UUID(news_id))


@shared_task(name="workspaces.due.sweep")
def sweep_due() -> None:
    sweeps.sweep()


@shared_task(name="workspaces.idle.rest")
def rest_idle(*org_ids: str) -> None:
    for org_id in org_ids:
        idle.rest(UUID(org_id))


@shared_task(name="workspaces.idle.sweep")
def sweep_idle() -> None:
    idle.sweep()


@shared_task(name="workspaces.cap.look")
def look_at_cap(org_id: str, cap_id: str) -> None:
    idle.look_at_cap(UUID(org_id), UUID(cap_id))


@shared_task(name="workspaces.caps.sweep")
def sweep_caps() -> None:
    idle.sweep_caps()
