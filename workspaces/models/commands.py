"""Commands that were run through the runtime boundary, and their output (W9)."""

from django.db import models
from django.db.models import Q

from envforge.actor import Target
from envforge.tenancy.models import TenantModel
from workspaces.models.places import Workspace


class CommandType(models.TextChoices):
    """Whose command it is: the contract's setup, a test, another command of the service, or one an agent or person wrote."""

    SETUP = "setup"
    TEST = "test"
    SERVICE = "service"
    AGENT = "agent"


class CommandRun(TenantModel):
    """A command's receipt: metadata only, safe to paste.

    `name` is the contract's name for it; of a command somebody wrote, its first word. `trouble` says in words why it did not run,
    or not to its end. `due_at` is when the reconciler should look.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="runs", db_index=False)
    service = models.CharField(max_length=63)
    type = models.TextField(choices=CommandType)
    name = models.CharField(max_length=80)
    asked_by = models.CharField(max_length=200)
    asker_kind = models.CharField(max_length=20)
    asker_id = models.CharField(max_length=200)
    asked_at = models.DateTimeField()
    epoch = models.PositiveIntegerField(null=True)
    host_command_id = models.UUIDField(null=True)
    # What is asked of the VM once the runtime is awake: forgotten then, since it may hold more than a name.
    argv = models.JSONField(null=True)
    timeout_s = models.PositiveIntegerField(default=1800)
    sent_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    exit_status = models.IntegerField(null=True)
    duration_ms = models.PositiveBigIntegerField(null=True)
    timed_out = models.BooleanField(default=False)
    trouble = models.CharField(max_length=500, blank=True, default="")
    output_bytes = models.PositiveBigIntegerField(default=0)
    truncated = models.BooleanField(default=False)
    output_gone_at = models.DateTimeField(null=True)
    cancelled_by = models.CharField(max_length=200, blank=True, default="")
    due_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(finished_at=None) | Q(exit_status=None, duration_ms=None),
                name="workspaces_run_finished",
            ),
            models.CheckConstraint(
                condition=Q(sent_at=None) | Q(argv=None), name="workspaces_run_forgets_argv"
            ),
        ]
        indexes = [
            models.Index(fields=["org_id", "workspace", "-asked_at", "-id"], name="workspaces_run_when"),
            models.Index(
                fields=["org_id", "workspace"],
                condition=Q(finished_at=None),
                name="workspaces_run_open",
            ),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="workspaces_run_due"),
            models.Index(
                fields=["org_id", "host_command_id"],
                condition=Q(host_command_id__isnull=False),
                name="workspaces_run_command",
            ),
            models.Index(
                fields=["finished_at", "org_id"],
                condition=Q(output_gone_at=None, finished_at__isnull=False),
                name="workspaces_run_output",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.name}"

    def as_target(self) -> Target:
        return self.workspace.as_target()


class CommandOutput(TenantModel):
    """A part of a run's output, masked on the VM before it came here; kept for a while."""

    run = models.ForeignKey(CommandRun, on_delete=models.CASCADE, related_name="output", db_index=False)
    offset = models.PositiveBigIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "run", "offset"], name="workspaces_output_once"),
        ]

    def __str__(self) -> str:
        return f"output of {self.run_id} from {self.offset}"
