"""Hosts, the slots that claim room on them, and who was where (V1, V2)."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from envforge.actor import Target
from envforge.tenancy.models import TenantModel
from hosts.choices import HostRole, Size


class Power(models.TextChoices):
    """What is wanted of a VM."""

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"


class Mend(models.TextChoices):
    """What is done to a VM that is wanted and does not do well: started again, or replaced from the base image."""

    NOTHING = ""
    RESTART = "restart"
    REPLACE = "replace"


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

    `version` grows with every change of what is wanted or observed; whoever did something outside a transaction records
    it only if the version still is what they read. Heartbeats leave it alone. `due_at` is when a reconciler should look
    again, null where nothing is to be done; `leased_until` keeps a second one away while the first speaks to EC2.
    """

    role = models.TextField(choices=HostRole)
    # People's name for it: "Runtime VM 2", counted per organization and role.
    number = models.PositiveIntegerField()
    # The one workspace that may be on it (V3); workspaces lie in an app above.
    dedicated_to = models.UUIDField(null=True)
    size = models.TextField(choices=Size)
    wanted = models.TextField(choices=Power, default=Power.RUNNING)
    wanted_at = models.DateTimeField()
    wanted_cause = models.TextField(default="placement")
    observed = models.TextField(choices=Observed, default=Observed.ABSENT)
    observed_at = models.DateTimeField()
    mend = models.TextField(choices=Mend, blank=True, default=Mend.NOTHING)
    mend_cause = models.TextField(blank=True, default="")
    generation = models.PositiveIntegerField(default=1)
    version = models.PositiveBigIntegerField(default=1)
    due_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    # Of the present step: how often it did not succeed; and how often in a row the VM itself did not come up or fell silent.
    attempts = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    # A word of ours (`hosts.words`), never a vendor's text.
    trouble = models.TextField(blank=True, default="")
    # Which of the size's zones and types is tried.
    option = models.PositiveIntegerField(default=0)
    # When RunInstances was last asked for this generation, answered or not.
    asked_at = models.DateTimeField(null=True)
    instance_id = models.TextField(blank=True, default="")
    zone = models.TextField(blank=True, default="")
    address = models.GenericIPAddressField(null=True)
    image = models.TextField(blank=True, default="")
    # Of the present generation: since when it runs, when its daemon joined, was last heard of, and which start of the VM that was.
    running_since = models.DateTimeField(null=True)
    joined_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(null=True)
    boot_id = models.UUIDField(null=True)
    # Walls between workspaces that this start of the VM runs without, as its daemon told; null before it told.
    missing_walls = ArrayField(models.TextField(), null=True)
    unused_since = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instance_id"], condition=~Q(instance_id=""), name="hosts_host_instance"
            ),
            models.UniqueConstraint(fields=["org_id", "role", "number"], name="hosts_host_number"),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="hosts_host_due"),
            models.Index(
                fields=["heard_at"],
                condition=Q(wanted=Power.RUNNING, observed=Observed.RUNNING),
                name="hosts_host_heard",
            ),
            models.Index(
                fields=["org_id", "role", "size"], condition=~Q(wanted=Power.ENDED), name="hosts_host_room"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} host {self.id}"

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.role.capitalize()} VM {self.number}"

    def as_target(self) -> Target:
        return Target("host", str(self.id), self.name)


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
            models.Index(fields=["org_id", "-began_at", "-id"], name="hosts_placement_when"),
        ]

    def __str__(self) -> str:
        return f"{self.slot_id} on {self.host_id}"


class Orphan(models.Model):
    """An instance that carries our tags and that no host has: found by the fleet's sweep, ended by an operator's decision.

    A volume for managed data that no workspace has is one as well: `instance_id` then is the volume's. It belongs to no
    organization that we could be sure of; the ids are what its tags say.
    """

    instance_id = models.TextField(primary_key=True)
    state = models.TextField(choices=Observed)
    tagged_org = models.TextField(blank=True, default="")
    tagged_host = models.TextField(blank=True, default="")
    launched_at = models.DateTimeField()
    found_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.instance_id


class PlacementPolicy(TenantModel):
    """What an organization asks of placement for all of its workspaces (V3); without a row, nothing."""

    vm_per_workspace = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org_id"], name="hosts_policy_once")]

    def __str__(self) -> str:
        return f"placement policy of {self.org_id}"
