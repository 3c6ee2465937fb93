"""What became of VMs, until it has been followed up here."""

from django.db import models

from envforge.tenancy.models import TenantModel


class HostNews(TenantModel):
    """A change of a VM (`hosts.changes.HostChange`), written in the transaction that made it and gone once it was followed up.

    Whoever changes a VM holds its row, and whoever changes a runtime may want a VM next: so the two never wait for each other.
    """

    host_id = models.UUIDField()
    generation = models.PositiveIntegerField()
    change = models.CharField(max_length=12)
    cause = models.CharField(max_length=60, blank=True, default="")
    heard_at = models.DateTimeField(null=True)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["at"], name="workspaces_news_at")]

    def __str__(self) -> str:
        return f"{self.host_id} {self.change}"
