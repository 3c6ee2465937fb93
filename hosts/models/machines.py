"""Hosts, the slots that claim room on them, and who was where (V1, V2)."""

from django.db import models
from django.db.models import F, Q

from envforge.actor import Target
from envforge.tenancy.models import TenantModel


class HostRole(models.TextChoices):
    """A shell VM is the always-on baseline, a runtime VM runs services while they are awake (W5)."""

    SHELL = "shell"
    RUNTIME = "runtime"


class Size(models.TextChoices):
    """The sizes people choose from (W8); settings say how much of a VM each is."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Power(models.TextChoices):
    """What is wanted of a VM."""

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"


class Observed(models.TextChoices):
    """What EC2 last said of the VM; `absent` before there is one, `vanished` where EC2 no longer knows it."""

    ABSENT = "absent"
    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ENDING = "ending"
    ENDED = "ended"
    VANISHED = "vanished"


class Host(TenantModel):
    """A VM of one organization. A replacement is the same host, one generation later.

    `version` grows with every change; whoever did something outside a transaction records it only if the version still
    is what they read. `due_at` is when a reconciler should look again, null where nothing is to be done.
    """

    role = models.TextField(choices=HostRole)
    # The one workspace that may be on it (V3); workspaces lie in an app above.
    dedicated_to = models.UUIDField(null=True)
    size = models.TextField(choices=Size)
    wanted = models.TextField(choices=Power, default=Power.RUNNING)
    wanted_at = models.DateTimeField()
    observed = models.TextField(choices=Observed, default=Observed.ABSENT)
    observed_at = models.DateTimeField()
    generation = models.PositiveIntegerField(default=1)
    version = models.PositiveBigIntegerField(default=1)
    due_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    trouble = models.TextField(blank=True, default="")
    instance_id = models.TextField(blank=True, default="")
    zone = models.TextField(blank=True, default="")
    address = models.GenericIPAddressField(null=True)
    image = models.TextField(blank=True, default="")
    # Of the present generation: when its daemon joined, was last heard of, and which start of the VM that was.
    joined_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)
    boot_id = models.UUIDField(null=True)
    unused_since = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instance_id"], condition=~Q(instance_id=""), name="hosts_host_instance"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="hosts_host_due"),
            models.Index(
                fields=["org_id", "role", "size"], condition=~Q(wanted=Power.ENDED), name="hosts_host_room"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} host {self.id}"

    def as_target(self) -> Target:
        return Target("host", str(self.id), f"{self.role} VM")


class Slot(TenantModel):
    """An organization's claim to room for one workspace on a VM of a role; a workspace's shell and runtime each have one.

    `active` says that the workspace wants to be awake there. `released_at` ends the claim.
    """

    workspace_id = models.UUIDField()
    workspace_label = models.CharField(max_length=120)
    role = models.TextField(choices=HostRole)
    size = models.TextField(choices=Size)
    dedicated = models.BooleanField(default=False)
    active = models.BooleanField(default=False)
    active_since = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "workspace_id", "role"],
                condition=Q(released_at=None),
                name="hosts_slot_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} slot of {self.workspace_id}"

    def as_target(self) -> Target:
        return Target(
            "workspace", str(self.workspace_id), self.workspace_label, workspace_id=self.workspace_id
        )


class Placement(TenantModel):
    """A slot was on a generation of a host, from and until: history, kept for good (V2)."""

    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="placements", db_index=False)
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="placements", db_index=False)
    generation = models.PositiveIntegerField()
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["slot"], condition=Q(ended_at=None), name="hosts_placement_one_open"
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("began_at")), name="hosts_placement_order"
            ),
        ]
        indexes = [
            models.Index(fields=["org_id", "host", "began_at"], name="hosts_placement_host"),
            models.Index(fields=["org_id", "slot", "began_at"], name="hosts_placement_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.slot_id} on {self.host_id}"


class WorkspaceFiles(TenantModel):
    """Where a workspace's files and managed data are, and the accounts they belong to (DESIGN 6, storage).

    `uid` is the first of the workspace's accounts, the same on every VM, since the files are shared between them.
    """

    workspace_id = models.UUIDField()
    uid = models.PositiveBigIntegerField(unique=True)
    access_point = models.TextField(blank=True, default="")
    volume_id = models.TextField(blank=True, default="")
    volume_gib = models.PositiveIntegerField(default=0)
    wanted_present = models.BooleanField(default=True)
    version = models.PositiveBigIntegerField(default=1)
    due_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org_id", "workspace_id"], name="hosts_files_once")]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="hosts_files_due")]

    def __str__(self) -> str:
        return f"files of {self.workspace_id}"
