"""Who may come in by SSH: the organization's authority, its certificates, and sessions (W5, THREATS H7)."""

from django.db import models
from django.db.models import Q

from envforge.tenancy.models import TenantModel
from hosts.models import Host
from workspaces.models.places import Workspace


class CertificateAuthority(TenantModel):
    """An organization's SSH certificate authority: the public half. The private one is a platform secret (S5)."""

    public_key = models.CharField(max_length=500)
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id"], condition=Q(retired_at=None), name="workspaces_authority_one"
            ),
        ]

    def __str__(self) -> str:
        return f"authority of {self.org_id}"


class Certificate(TenantModel):
    """A certificate of some minutes for one workspace's shell; the certificate itself is not kept."""

    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="certificates", db_index=False
    )
    serial = models.PositiveBigIntegerField()
    holder = models.CharField(max_length=200)
    holder_kind = models.CharField(max_length=20)
    holder_id = models.CharField(max_length=200)
    person_id = models.UUIDField(null=True)
    forwarding = models.BooleanField(default=False)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_cause = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["serial"], name="workspaces_certificate_serial"),
        ]
        indexes = [
            models.Index(fields=["org_id", "workspace", "-issued_at"], name="workspaces_certificate_when"),
            models.Index(
                fields=["org_id", "person_id", "expires_at"],
                condition=Q(revoked_at=None),
                name="workspaces_certificate_held",
            ),
        ]

    def __str__(self) -> str:
        return f"certificate {self.serial}"


class ShellSession(TenantModel):
    """Somebody's SSH connection, as the VM tells of it; whose it is, the certificate says."""

    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="sessions", db_index=False
    )
    certificate = models.ForeignKey(
        Certificate, on_delete=models.CASCADE, related_name="sessions", db_index=False
    )
    session_id = models.UUIDField()
    host = models.ForeignKey(Host, on_delete=models.PROTECT, related_name="+", db_index=False)
    connected_at = models.DateTimeField()
    disconnected_at = models.DateTimeField(null=True)
    end_cause = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "session_id"], name="workspaces_session_once"),
        ]
        indexes = [
            models.Index(
                fields=["org_id", "workspace"],
                condition=Q(disconnected_at=None),
                name="workspaces_session_open",
            ),
        ]

    def __str__(self) -> str:
        return f"session {self.session_id}"
