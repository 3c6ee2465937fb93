"""Workspaces, what is checked out in them, and their shells (W4, W5, W12)."""

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from envforge.actor import Target
from envforge.tenancy.models import TenantModel
from hosts.models import Host, Size, Slot
from projects.models import NAME_FORM, Project, Repository


class Presence(models.TextChoices):
    """What is wanted of a workspace: archived, it holds no VM and keeps its files until `retain_until`."""

    PRESENT = "present"
    ARCHIVED = "archived"
    DELETED = "deleted"


class Workspace(TenantModel):
    """One branch of a project's repositories, as a place to work (W4).

    `slug` stands in dev hosts (L2) and is never given to another workspace. `size` and `idle_timeout_s` are what was
    chosen here; empty, the largest that the contracts ask for counts. `public` says whether the public gateway may lead here (L7).
    `removed_at`: its files are gone for good. `due_at` and `leased_until` are the reconciler's, as in `hosts.models.Host`.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="workspaces", db_index=False)
    branch = models.CharField(max_length=200)
    slug = models.CharField(max_length=40, validators=[RegexValidator(rf"\A{NAME_FORM}\Z")])
    size = models.TextField(choices=Size, blank=True, default="")
    idle_timeout_s = models.PositiveIntegerField(null=True)
    public = models.BooleanField(default=True)
    # Who opened it, for people to read; and the person, if it was one.
    opened_by = models.CharField(max_length=200)
    opened_by_person = models.UUIDField(null=True)
    opened_at = models.DateTimeField()
    wanted = models.TextField(choices=Presence, default=Presence.PRESENT)
    wanted_at = models.DateTimeField()
    wanted_by = models.CharField(max_length=200)
    retain_until = models.DateTimeField(null=True)
    # Its files were deleted on a VM, and then all the rest of it.
    files_deleted_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)
    # The branch was found in one of its repositories, first (or again) at this time.
    branch_seen_at = models.DateTimeField(null=True)
    # The branch was not found in any of its repositories any more, since when.
    branch_gone_at = models.DateTimeField(null=True)
    version = models.PositiveBigIntegerField(default=1)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "slug"], name="workspaces_workspace_slug"),
            models.UniqueConstraint(
                fields=["org_id", "project", "branch"],
                condition=~Q(wanted=Presence.DELETED),
                name="workspaces_workspace_branch",
            ),
            models.CheckConstraint(
                condition=Q(slug__regex=rf"^{NAME_FORM}$"), name="workspaces_workspace_slug_form"
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=Q(due_at__isnull=False), name="workspaces_workspace_due"
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def name(self) -> str:
        """What people call it: its branch, in its project."""
        return self.branch

    def as_target(self) -> Target:
        return Target(
            "workspace", str(self.id), self.branch, workspace_id=self.id, project_id=self.project_id
        )


class Checkout(TenantModel):
    """A repository as it last lay in a workspace's files; `problem` says in words why it is not there.

    `contract_digest` is what its `envforge.yml` was, empty where there is none that can be read.
    """

    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="checkouts", db_index=False
    )
    repository = models.ForeignKey(Repository, on_delete=models.PROTECT, related_name="+", db_index=False)
    branch = models.CharField(max_length=200, blank=True, default="")
    commit = models.CharField(max_length=64, blank=True, default="")
    dirty = models.BooleanField(default=False)
    contract_digest = models.CharField(max_length=64, blank=True, default="")
    problem = models.CharField(max_length=500, blank=True, default="")
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "workspace", "repository"], name="workspaces_checkout_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.repository_id} at {self.commit[:12]}"


class Account(TenantModel):
    """One of a workspace's accounts on its VMs (THREATS H3), given to a service or resource for good: the files it owns stay its own.

    `name` is `REPOSITORY` for its service, `REPOSITORY/RESOURCE` for a managed resource. Of a resource, `data_wanted` numbers the data it
    is to have, `data_observed` what it last had: where they differ, its owner has asked for the data to be deleted, which the next wake does.
    """

    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="accounts", db_index=False
    )
    name = models.CharField(max_length=110)
    number = models.PositiveSmallIntegerField()
    data_wanted = models.PositiveIntegerField(default=0)
    data_observed = models.PositiveIntegerField(default=0)
    data_asked_at = models.DateTimeField(null=True)
    data_asked_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "workspace", "name"], name="workspaces_account_name"),
            models.UniqueConstraint(
                fields=["org_id", "workspace", "number"], name="workspaces_account_number"
            ),
            models.CheckConstraint(
                condition=Q(number__gte=1, number__lte=15), name="workspaces_account_range"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} as {self.number}"


class ShellState(models.TextChoices):
    """What was last seen of a workspace's shell."""

    ABSENT = "absent"
    PREPARING = "preparing"
    READY = "ready"
    FAILED = "failed"


class Shell(TenantModel):
    """A workspace's shell: wanted as long as the workspace is present, on the VM of its shell slot (W5).

    `host` and `generation` say where it was prepared; `trouble` in words what keeps it from being ready.
    """

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, related_name="shell")
    slot = models.ForeignKey(Slot, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    wanted = models.BooleanField(default=True)
    observed = models.TextField(choices=ShellState, default=ShellState.ABSENT)
    observed_at = models.DateTimeField()
    host = models.ForeignKey(Host, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    generation = models.PositiveIntegerField(default=0)
    ssh_port = models.PositiveIntegerField(null=True)
    host_key = models.CharField(max_length=500, blank=True, default="")
    trouble = models.CharField(max_length=500, blank=True, default="")
    asked_at = models.DateTimeField(null=True)
    # Counts what was asked of the VM: each `prepare_shell` has a number of its own.
    turn = models.PositiveIntegerField(default=0)
    version = models.PositiveBigIntegerField(default=1)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="workspaces_shell_due"),
        ]

    def __str__(self) -> str:
        return f"shell of {self.workspace_id}"
