"""Signed links to one service of one workspace, the hosts they lead to, and the organization's policy for them (L1-L4)."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q

from envforge.actor import Target
from envforge.tenancy.models import TenantModel
from workspaces.models import Workspace

# A DNS label (RFC 1035).
LABEL_FORM = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"


class HostLabel(TenantModel):
    """The first label of a service's dev host: stored, never parsed, never given to another service (L2, THREATS G4).

    Unique over all organizations, by schema; the application may neither change nor delete one.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+", db_index=False)
    service = models.CharField(max_length=63)
    label = models.CharField(max_length=63, unique=True)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "workspace", "service"], name="devlinks_label_once"),
            models.CheckConstraint(condition=Q(label__regex=LABEL_FORM), name="devlinks_label_form"),
        ]

    def __str__(self) -> str:
        return self.label


class DevLink(TenantModel):
    """A link for whoever holds it: one service, some surfaces, until `expires_at` (L1). Of its token nothing is kept.

    A token counts while it carries the present `rotation`. `expired_at`: its end by time is in the audit. `wakes_spent`
    stands beside what it may spend (THREATS G5); the seconds are summed from the meter (`devlinks.waking`).
    """

    workspace = models.ForeignKey(
        Workspace, on_delete=models.PROTECT, related_name="dev_links", db_index=False
    )
    host = models.ForeignKey(HostLabel, on_delete=models.PROTECT, related_name="+", db_index=False)
    service = models.CharField(max_length=63)
    name = models.CharField(max_length=80)
    # What its reader is told on the page before they enter.
    note = models.CharField(max_length=500, blank=True, default="")
    surfaces = models.JSONField()
    rotation = models.PositiveIntegerField(default=0)
    issued_at = models.DateTimeField()
    issued_by = models.CharField(max_length=200)
    # The person who answers for it: who issued it, for whom an agent did, or who took it over.
    person_id = models.UUIDField(null=True)
    expires_at = models.DateTimeField()
    expired_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=200, blank=True, default="")
    revoked_cause = models.CharField(max_length=40, blank=True, default="")
    first_used_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    wakes_budget = models.PositiveIntegerField()
    wakes_spent = models.PositiveIntegerField(default=0)
    awake_budget_s = models.PositiveIntegerField()
    handed_over_at = models.DateTimeField(null=True)
    handed_over_from = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(expires_at__gt=F("issued_at")), name="devlinks_link_times"),
        ]
        indexes = [
            models.Index(fields=["org_id", "workspace", "-issued_at"], name="devlinks_link_workspace"),
            models.Index(fields=["org_id", "-issued_at"], name="devlinks_link_newest"),
            models.Index(
                fields=["org_id", "person_id"],
                condition=Q(revoked_at=None, expired_at=None),
                name="devlinks_link_person",
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(revoked_at=None, expired_at=None),
                name="devlinks_link_expiry",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def as_target(self) -> Target:
        return Target(
            "dev_link",
            str(self.id),
            self.name,
            workspace_id=self.workspace_id,
            project_id=self.workspace.project_id,
        )

    def why_over(self, now: datetime) -> str:
        """The word for why the link no longer opens anything; empty while it does."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else ""


class LinkWake(TenantModel):
    """A wake that a link's visitor caused: what its budget, and its workspace's, is counted by (THREATS G5)."""

    link = models.ForeignKey(DevLink, on_delete=models.CASCADE, related_name="wakes", db_index=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+", db_index=False)
    epoch = models.PositiveIntegerField()
    asked_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "workspace", "epoch"], name="devlinks_wake_once"),
        ]
        indexes = [
            models.Index(fields=["org_id", "link"], name="devlinks_wake_link"),
            models.Index(fields=["org_id", "workspace", "asked_at"], name="devlinks_wake_when"),
        ]

    def __str__(self) -> str:
        return f"wake {self.epoch} by {self.link_id}"


class Issuers(models.TextChoices):
    """Who may issue links, beside what the roles say."""

    WORKSPACE = "workspace", "everybody who works in the workspace"
    OPERATORS = "operators", "operators, maintainers and admins alone"
    ADMINS = "admins", "admins and owners alone"


class LinkPolicy(TenantModel):
    """What an organization allows of links; without a row, the defaults of `devlinks.rules`."""

    longest_s = models.PositiveIntegerField()
    issuers = models.TextField(choices=Issuers)
    surfaces = models.JSONField()
    wakes_budget = models.PositiveIntegerField()
    awake_budget_s = models.PositiveIntegerField()
    # Of all links of one workspace together, in 24 hours.
    workspace_wakes = models.PositiveIntegerField()
    workspace_awake_s = models.PositiveIntegerField()
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org_id"], name="devlinks_policy_once")]

    def __str__(self) -> str:
        return f"link policy of {self.org_id}"
