"""Runtimes: wanted and observed, each wake with its receipt, and what keeps one awake (W6-W10)."""

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Q

from envforge.actor import Target
from envforge.tenancy.models import TenantModel
from hosts.models import Host, Size, Slot
from workspaces.causes import WakeCause
from workspaces.models.places import Workspace


class Power(models.TextChoices):
    """What is wanted of a runtime."""

    AWAKE = "awake"
    ASLEEP = "asleep"


class Observed(models.TextChoices):
    """What a runtime last was.

    WAKING: it has no VM yet, or its VM is coming up. STARTING: its VM was asked to start the services. STOPPING: its routes are withdrawn,
    and its VM was asked to stop them. FAILED: the wake came to its end without the services, and is asked for anew by people.
    """

    ASLEEP = "asleep"
    WAKING = "waking"
    STARTING = "starting"
    AWAKE = "awake"
    STOPPING = "stopping"
    FAILED = "failed"


class Runtime(TenantModel):
    """A workspace's runtime.

    `epoch` counts its wakes and names its routes (THREATS G2). `active_at` is when somebody last used it, `touched_at` when anything last
    spoke to it at all; `sleep_at` when the idle sweep should look, null while it is not wanted awake (DESIGN 7.5). `due_at`: as of
    `hosts.models.Host`. `routed`: its routes are out, and the gateways may lead there.
    """

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, related_name="runtime")
    slot = models.ForeignKey(Slot, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    wanted = models.TextField(choices=Power, default=Power.ASLEEP)
    wanted_at = models.DateTimeField()
    wanted_cause = models.CharField(max_length=20, blank=True, default="")
    wanted_by = models.CharField(max_length=200, blank=True, default="")
    observed = models.TextField(choices=Observed, default=Observed.ASLEEP)
    observed_at = models.DateTimeField()
    epoch = models.PositiveIntegerField(default=0)
    routed = models.BooleanField(default=False)
    host = models.ForeignKey(Host, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    generation = models.PositiveIntegerField(default=0)
    size = models.TextField(choices=Size, default=Size.SMALL)
    idle_timeout_s = models.PositiveIntegerField(default=1800)
    active_at = models.DateTimeField(null=True)
    active_cause = models.CharField(max_length=20, blank=True, default="")
    touched_at = models.DateTimeField(null=True)
    sleep_at = models.DateTimeField(null=True)
    # How its managed resources do, as its VM last told: {"health", "since"} by their names there.
    resources = models.JSONField(default=dict)
    # In words, what keeps it from being awake; and a word for programs.
    trouble = models.CharField(max_length=500, blank=True, default="")
    trouble_word = models.CharField(max_length=60, blank=True, default="")
    version = models.PositiveBigIntegerField(default=1)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="workspaces_runtime_due"),
            models.Index(
                fields=["sleep_at"], condition=Q(sleep_at__isnull=False), name="workspaces_runtime_idle"
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(sleep_at=None) | Q(wanted=Power.AWAKE), name="workspaces_runtime_sleeps_once"
            ),
        ]

    def __str__(self) -> str:
        return f"runtime of {self.workspace_id}"

    def as_target(self) -> Target:
        return self.workspace.as_target()


class Wake(TenantModel):
    """One wake of a runtime, and its readiness receipt (W10).

    `services` holds, by service, `{"name", "repository", "contract_digest", "kind", "health", "ready_ms", "ports": {name: port}}`; `blockers`
    `{"service", "at", "reason", "exit_status"}` (`envforge_protocol.host.runtimes.Blocker`). Times in milliseconds count from `asked_at`.
    """

    runtime = models.ForeignKey(Runtime, on_delete=models.CASCADE, related_name="wakes", db_index=False)
    epoch = models.PositiveIntegerField()
    cause = models.CharField(max_length=20, choices=WakeCause.choices)
    asked_by = models.CharField(max_length=200)
    # What stood behind it, by name: the link, the test.
    detail = models.CharField(max_length=200, blank=True, default="")
    asked_at = models.DateTimeField()
    # When the VM was there and was asked to start the services.
    started_at = models.DateTimeField(null=True)
    ready_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    end_cause = models.CharField(max_length=20, blank=True, default="")
    size = models.TextField(choices=Size)
    services = models.JSONField(default=list)
    blockers = models.JSONField(default=list)
    # How each managed resource came up, by its name on the VM (`workspaces.managed.on_vm`): a word of `Health`.
    resources = models.JSONField(default=dict)
    ready_ms = models.PositiveIntegerField(null=True)
    # How often its VM found working trees otherwise than it was told, and was asked anew (W2).
    trees_changed = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "runtime", "epoch"], name="workspaces_wake_epoch"),
            models.UniqueConstraint(
                fields=["runtime"], condition=Q(ended_at=None), name="workspaces_wake_one_open"
            ),
        ]
        indexes = [
            models.Index(fields=["org_id", "runtime", "-asked_at"], name="workspaces_wake_when"),
        ]

    def __str__(self) -> str:
        return f"wake {self.epoch}: {self.cause}"

    def start_key(self, workspace_id: UUID) -> str:
        """The key of the command that has its VM start it: another one each time it is asked anew."""
        return f"start/{workspace_id}/{self.epoch}" + (f"/{self.trees_changed}" if self.trees_changed else "")


class RunningService(TenantModel):
    """A service of a runtime in its present wake: what it is, where its ingress is, and how it does.

    `ingress` is the VM's port that leads to it, no other runtime's on that VM; None where nothing leads in. The rows of a wake are replaced by
    those of the next.
    """

    runtime = models.ForeignKey(Runtime, on_delete=models.CASCADE, related_name="services", db_index=False)
    epoch = models.PositiveIntegerField()
    name = models.CharField(max_length=63)
    repository_id = models.UUIDField()
    proposal_id = models.UUIDField()
    contract_digest = models.CharField(max_length=64)
    kind = models.CharField(max_length=10)
    account = models.PositiveSmallIntegerField()
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+", db_index=False)
    generation = models.PositiveIntegerField()
    ingress = models.PositiveIntegerField(null=True)
    health = models.CharField(max_length=12)
    since = models.DateTimeField()
    restarts = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "runtime", "name"], name="workspaces_service_name"),
            models.UniqueConstraint(
                fields=["host", "ingress"],
                condition=Q(ingress__isnull=False),
                name="workspaces_service_ingress",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class JobLease(TenantModel):
    """A job's declaration that it needs the runtime until then, or the shell's (`holder_kind` "shell"); it is activity as long as it
    lasts (W7). A usage cap that stops runtimes waits for jobs, and not for what a shell declared.
    """

    SHELL: ClassVar = "shell"

    runtime = models.ForeignKey(Runtime, on_delete=models.CASCADE, related_name="leases", db_index=False)
    name = models.CharField(max_length=80)
    held_by = models.CharField(max_length=200)
    holder_kind = models.CharField(max_length=20)
    holder_id = models.CharField(max_length=200)
    began_at = models.DateTimeField()
    until = models.DateTimeField()
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "runtime", "name"],
                condition=Q(released_at=None),
                name="workspaces_lease_name",
            ),
        ]

    def __str__(self) -> str:
        return self.name
