"""Where a workspace's files and managed data are, apart from the VMs that it is on (DESIGN 6, storage)."""

from django.db import models
from django.db.models import Q

from envforge.tenancy.models import TenantModel


class Place(TenantModel):
    """Something outside of VMs that one workspace has: wanted here, brought about by a reconciler (`hosts.due`).

    `version` grows with every change of what is wanted or known; `trouble` is a word of `hosts.words`.
    """

    workspace_id = models.UUIDField()
    wanted_present = models.BooleanField(default=True)
    version = models.PositiveBigIntegerField(default=1)
    attempts = models.PositiveIntegerField(default=0)
    trouble = models.TextField(blank=True, default="")
    due_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} of {self.workspace_id}"


class WorkspaceFiles(Place):
    """A workspace's files, and the accounts they belong to.

    `uid` is the first of the workspace's accounts, the same on every VM, since the files are shared between them.
    """

    uid = models.PositiveBigIntegerField(unique=True)
    # A directory, after its file system's id and a colon where it is on one.
    place = models.TextField(blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org_id", "workspace_id"], name="hosts_files_once")]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="hosts_files_due")]


class DataVolume(Place):
    """A volume for a workspace's managed data, which follows its runtime from VM to VM within one zone.

    `attached_to` is the instance that EC2 said it is attached to. `in_use`: services were let start on it there, and have
    not been heard to be stopped; it is detached from a running VM only when they have.
    """

    size_gib = models.PositiveIntegerField()
    zone = models.TextField(blank=True, default="")
    volume_id = models.TextField(blank=True, default="")
    attached_to = models.TextField(blank=True, default="")
    device = models.TextField(blank=True, default="")
    in_use = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "workspace_id"], name="hosts_volume_once"),
            models.UniqueConstraint(
                fields=["volume_id"], condition=~Q(volume_id=""), name="hosts_volume_one_row"
            ),
            models.UniqueConstraint(
                fields=["attached_to", "device"], condition=~Q(attached_to=""), name="hosts_volume_device"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="hosts_volume_due")
        ]
