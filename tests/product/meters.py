"""Awake times as tests make them: workspaces of Acme, and a clock that jumps to any moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from envforge import tenancy
from envforge.actor import SYSTEM
from hosts.models import Size
from projects.operations import create_project
from tests.product.world import World
from workspaces import activity, meter
from workspaces.models import MeterWindow, Observed, Power, Runtime, Wake, WakeCause, Workspace
from workspaces.operations.workspaces import open_workspace
from workspaces.wants import end_wake, want_awake


class Times:
    """The product's clock, standing at a moment until it is moved."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def pass_(self, **units: float) -> datetime:
        self.at += timedelta(**units)
        return self.at


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


class Metered:
    """Workspaces of a project of Acme, awake and asleep without a VM: what the meter sees of them."""

    def __init__(self, world: World, times: Times) -> None:
        self.world, self.times, self.org_id = world, times, world.acme.id
        self.project = create_project(
            actor=world.alice.as_actor(), org_id=self.org_id, slug="scheduler", name="Scheduler"
        )

    def workspace(self, branch: str = "main") -> Workspace:
        return open_workspace(
            actor=self.world.alice.as_actor(), org_id=self.org_id, project_id=self.project.id, branch=branch
        )

    def runtime(self, workspace: Workspace) -> Runtime:
        with tenancy.enter(self.org_id):
            return Runtime.objects.select_related("workspace").get(workspace=workspace)

    def wake(
        self, workspace: Workspace, cause: WakeCause = WakeCause.CONSOLE, size: Size | None = None
    ) -> None:
        """Wanted awake and awake in the same moment."""
        with tenancy.enter(self.org_id):
            if size:
                Workspace.objects.filter(id=workspace.id).update(size=size)
            runtime = self._locked(workspace)
            want_awake(runtime, actor=self.world.alice.as_actor(), cause=cause)
            runtime.observed, runtime.observed_at = Observed.AWAKE, timezone.now()
            runtime.save()
            wake = Wake.objects.get(runtime=runtime, epoch=runtime.epoch)
            wake.ready_at = timezone.now()
            wake.save()
            meter.open_window(runtime, wake, timezone.now())

    def sleep(self, workspace: Workspace, cause: str = "idle", *, disputed_s: int = 0) -> None:
        """Asleep, whoever wanted it, or lost."""
        with tenancy.enter(self.org_id):
            runtime = self._locked(workspace)
            end_wake(runtime, at=timezone.now(), cause=cause, disputed_s=disputed_s)
            runtime.wanted, runtime.observed = Power.ASLEEP, Observed.ASLEEP
            activity.end(runtime)
            runtime.save()

    def awake(self, workspace: Workspace, **units: Any) -> MeterWindow:
        """Awake for that long, from now on."""
        self.wake(workspace)
        self.times.pass_(**units)
        self.sleep(workspace)
        return self.windows(workspace)[-1]

    def windows(self, workspace: Workspace) -> list[MeterWindow]:
        with tenancy.enter(self.org_id):
            return list(MeterWindow.objects.filter(workspace=workspace).order_by("epoch"))

    def _locked(self, workspace: Workspace) -> Runtime:
        found = Workspace.objects.select_for_update().get(id=workspace.id)
        runtime = Runtime.objects.select_for_update().get(workspace=found)
        runtime.workspace = found
        return runtime


__all__ = ["SYSTEM", "Metered", "Times", "utc"]
