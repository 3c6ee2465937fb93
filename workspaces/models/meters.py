"""The meter: awake windows, and the caps that are read before a wake (B1-B3, W8)."""

from django.db import models
from django.db.models import F, Q

from envforge.actor import Target
from envforge.tenancy.models import TenantModel
from hosts.models import Size
from workspaces.cap_modes import CapMode
from workspaces.models.places import Workspace
from workspaces.models.runtimes import Runtime


class MeterWindow(TenantModel):
    """A time a runtime was awake: the usage receipt of one wake (B2). One is open per runtime at most, and none overlaps another.

    Both times are whole seconds (UTC), so that days and months add up to `seconds` exactly. In the last `disputed_s` of these its VM ran
    unheard of (THREATS H6); they are counted apart and not charged. `cause` and `cap_mode` are how the wake came to be and how the cap
    stood at it; `end_cause` why it ended.
    """

    runtime = models.ForeignKey(Runtime, on_delete=models.PROTECT, related_name="windows", db_index=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="windows", db_index=False)
    epoch = models.PositiveIntegerField()
    size = models.TextField(choices=Size)
    cause = models.CharField(max_length=20)
    cap_mode = models.CharField(max_length=4, default="none")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    seconds = models.PositiveIntegerField(null=True)
    disputed_s = models.PositiveIntegerField(default=0)
    end_cause = models.CharField(max_length=20, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["runtime"], condition=Q(closed_at=None), name="workspaces_window_one_open"
            ),
            models.UniqueConstraint(fields=["org_id", "runtime", "epoch"], name="workspaces_window_epoch"),
            models.CheckConstraint(
                condition=Q(closed_at=None, seconds=None)
                | Q(closed_at__gte=F("opened_at"), seconds__isnull=False),
                name="workspaces_window_closed",
            ),
            models.CheckConstraint(
                condition=Q(disputed_s=0) | Q(disputed_s__lte=F("seconds")), name="workspaces_window_disputed"
            ),
        ]
        indexes = [
            models.Index(fields=["org_id", "opened_at"], name="workspaces_window_when"),
            # What of a month is asked for: all that ended after it began.
            models.Index(fields=["org_id", "closed_at"], name="workspaces_window_until"),
            models.Index(fields=["org_id", "workspace", "opened_at"], name="workspaces_window_workspace"),
        ]

    def __str__(self) -> str:
        return f"window of {self.runtime_id} from {self.opened_at}"


class Cap(TenantModel):
    """A cap of awake hours per calendar month (UTC), of the organization or, with a workspace, of that one alone (B3)."""

    workspace = models.ForeignKey(
        Workspace, null=True, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    mode = models.TextField(choices=CapMode)
    hours = models.PositiveIntegerField(null=True)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)
    # The month (its first day) for which people were told that 80 % and all of it was reached.
    warned_for = models.DateField(null=True)
    reached_for = models.DateField(null=True)
    # When a sweep should look at it again: null while nothing that it counts is awake.
    due_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "workspace"], name="workspaces_cap_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=Q(mode=CapMode.NONE, hours=None) | (~Q(mode=CapMode.NONE) & Q(hours__gte=1)),
                name="workspaces_cap_hours",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="workspaces_cap_due"),
        ]

    def __str__(self) -> str:
        return f"{self.mode} at {self.hours} hours"

    def as_target(self) -> Target:
        if self.workspace is not None:
            return self.workspace.as_target()
        return Target("organization", str(self.org_id), "all workspaces")
