"""How VMs are known when they speak: tokens, spent nonces, and what was last heard."""

from django.db import models

from envforge.tenancy.models import TenantModel
from hosts.models.machines import Host


class HostToken(TenantModel):
    """The token of a VM that joined, good for an hour; of it only the digest is kept (H4).

    It works until it expires, is ended, or its generation of the host is not the present one any more.
    """

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="tokens")
    generation = models.PositiveIntegerField()
    boot_id = models.UUIDField()
    digest = models.CharField(max_length=64, unique=True)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"token of {self.host_id}"


class HostVoice(TenantModel):
    """What a VM's daemon last said of itself: one row for each host, made when it first joins.

    `sequence` is that of the last heartbeat of `boot_id`, 0 before the first. Generations up to `barred_generation` may
    neither join nor speak (H5).
    """

    host = models.OneToOneField(Host, on_delete=models.CASCADE, related_name="voice")
    barred_generation = models.PositiveIntegerField(default=0)
    generation = models.PositiveIntegerField(default=0)
    boot_id = models.UUIDField(null=True)
    sequence = models.PositiveBigIntegerField(default=0)
    protocol = models.PositiveSmallIntegerField(default=0)
    daemon_version = models.CharField(max_length=64, blank=True, default="")
    image_version = models.CharField(max_length=64, blank=True, default="")
    heard_at = models.DateTimeField(null=True)
    free_memory_mib = models.PositiveBigIntegerField(default=0)
    free_disk_mib = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"voice of {self.host_id}"


class SpentNonce(models.Model):
    """A nonce that was used to join, by digest, kept until it would have expired anyway (H4)."""

    digest = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest[:8]
