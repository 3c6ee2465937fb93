"""What VMs are asked to do, and which of their reports were taken."""

from django.db import models
from django.db.models import Q

from envforge.tenancy.models import TenantModel
from hosts.models.machines import Host


class HostCommand(TenantModel):
    """Something one generation of a VM is asked to do, until it is finished: with an outcome or a failure.

    `payload`, `outcome` and `failure` are messages of `envforge_protocol.host.commands`; credentials are in none (K2).
    Of the unfinished commands of one `lane` only the first by `position` can be leased; an empty lane waits for nothing.
    `due_at` is when the sweep should look: it gives up what nobody finished, and forgets what is long over.
    """

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="commands", db_index=False)
    generation = models.PositiveIntegerField()
    workspace_id = models.UUIDField()
    kind = models.TextField()
    key = models.CharField(max_length=200)
    lane = models.TextField(blank=True, default="")
    position = models.BigIntegerField()
    payload = models.JSONField()
    # Why: a word, as in the audit.
    cause = models.CharField(max_length=100)
    created_at = models.DateTimeField()
    not_before = models.DateTimeField()
    expires_at = models.DateTimeField()
    due_at = models.DateTimeField()
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    most_attempts = models.PositiveSmallIntegerField()
    step = models.CharField(max_length=61, blank=True, default="")
    output_bytes = models.PositiveBigIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)
    outcome = models.JSONField(null=True)
    failure = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host", "generation", "key"], name="hosts_command_once"),
            models.CheckConstraint(
                condition=Q(finished_at=None, outcome=None, failure=None)
                | Q(finished_at__isnull=False, outcome__isnull=False, failure=None)
                | Q(finished_at__isnull=False, outcome=None, failure__isnull=False),
                name="hosts_command_one_end",
            ),
        ]
        indexes = [
            models.Index(
                fields=["host", "position"], condition=Q(finished_at=None), name="hosts_command_open"
            ),
            models.Index(fields=["due_at", "org_id"], name="hosts_command_due"),
            models.Index(fields=["org_id", "workspace_id", "position"], name="hosts_command_workspace"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.host_id}"


class HostReport(TenantModel):
    """A report that was taken, remembered so that it is taken once; `report_id` is the VM's."""

    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+", db_index=False)
    report_id = models.UUIDField()
    taken_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["host", "report_id"], name="hosts_report_once"),
        ]
        indexes = [models.Index(fields=["taken_at", "org_id"], name="hosts_report_taken")]

    def __str__(self) -> str:
        return f"report {self.report_id}"
