"""What becomes of VMs, and what follows from it for the shells and runtimes that were there (W11, H6)."""

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from envforge import tenancy
from envforge.nudge import nudge
from hosts.changes import Change, HostChange
from hosts.models import Placement
from workspaces import ends, routes
from workspaces.models import (
    HostNews,
    Observed,
    Power,
    Runtime,
    Shell,
    ShellState,
    SleepCause,
    Workspace,
)
from workspaces.reconcile import shells
from workspaces.wants import touch

GONE = frozenset({Change.AWAY, Change.SILENT, Change.REPLACED, Change.ENDED})
RUNS = frozenset({Observed.STARTING, Observed.AWAKE, Observed.STOPPING})


def note(change: HostChange) -> None:
    """Keep a change for `follow`, in the transaction that makes it."""
    from workspaces import tasks  # noqa: PLC0415 - a task leads here

    kept = HostNews.objects.create(
        host_id=change.host_id,
        generation=change.generation,
        change=change.change.value,
        cause=change.cause[:60],
        heard_at=change.heard_at,
        at=timezone.now(),
    )
    nudge(tasks.follow_host_news, kept.org_id, kept.id)


def follow(org_id: UUID, news_id: UUID) -> int:
    """Do what follows from one piece of news, once; answers whether it was this call that did."""
    with tenancy.enter(org_id):
        news = HostNews.objects.filter(id=news_id).first()
        if news is None:
            return 0
        change = Change(news.change)
        for workspace_id in _concerned(news, change):
            workspace = Workspace.objects.select_for_update().get(id=workspace_id)
            shell = Shell.objects.select_for_update().get(workspace=workspace)
            runtime = Runtime.objects.select_for_update().get(workspace=workspace)
            runtime.workspace = workspace
            _shell(shell, news, change)
            _runtime(runtime, news, change)
        # Two workers that follow the same news find each other's rows already changed.
        deleted, _ = HostNews.objects.filter(id=news_id).delete()
        return deleted


def _concerned(news: HostNews, change: Change) -> list[UUID]:
    """The workspaces that are, or were last seen, on the VM; in one order."""
    found = set(Shell.objects.filter(host_id=news.host_id).values_list("workspace_id", flat=True))
    found |= set(Runtime.objects.filter(host_id=news.host_id).values_list("workspace_id", flat=True))
    if change is not Change.LEAVING:
        slots = Placement.objects.filter(host_id=news.host_id, ended_at=None).values_list(
            "slot_id", flat=True
        )
        found |= set(Shell.objects.filter(slot_id__in=slots).values_list("workspace_id", flat=True))
        found |= set(Runtime.objects.filter(slot_id__in=slots).values_list("workspace_id", flat=True))
    return sorted(found)


def _shell(shell: Shell, news: HostNews, change: Change) -> None:
    was_there = shell.host_id == news.host_id and shell.generation <= news.generation
    if change in GONE and was_there and shell.observed != ShellState.ABSENT:
        shell.observed, shell.observed_at = ShellState.ABSENT, news.at
    elif change is not Change.READY and not (change in GONE and was_there):
        return
    if shell.wanted:
        shells.touch(shell, timezone.now())


def _runtime(runtime: Runtime, news: HostNews, change: Change) -> None:
    there = runtime.host_id == news.host_id and runtime.generation <= news.generation
    if change is Change.LEAVING and there:
        # Nobody is led to a VM that is going (THREATS G2); when it is gone, the runtime wakes elsewhere.
        routes.withdraw(runtime)
        runtime.save()
        return
    if change in GONE and there and runtime.observed in RUNS:
        # Later news of a VM that is back are older than what runs there now.
        if runtime.observed_at > news.at:
            return
        silent = change is Change.SILENT
        heard_at = min(news.heard_at or news.at, news.at)
        ends.lost(
            runtime,
            at=news.at,
            cause=SleepCause.SILENT if silent else SleepCause.HOST_LOST,
            ran_until=news.at if silent else max(heard_at, _since(runtime, heard_at)),
            disputed_s=int((news.at - heard_at).total_seconds()) if silent else 0,
        )
        runtime.save()
        return
    if change in GONE - {Change.SILENT} and there and runtime.observed_at <= news.at:
        # What a failed wake had left running there ran no longer than its VM.
        ends.nothing_is_left(runtime)
    if runtime.observed == Observed.WAKING and runtime.wanted == Power.AWAKE:
        touch(runtime, timezone.now())
        runtime.save()


def _since(runtime: Runtime, heard_at: datetime) -> datetime:
    """A wake that became ready after the last heartbeat was heard of by that."""
    return runtime.observed_at if runtime.observed == Observed.AWAKE else heard_at
