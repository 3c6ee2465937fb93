"""The audit's tables. Their columns are written by `append` and by the sealer alone; PostgreSQL refuses all else."""

from django.db import models

from envforge.tenancy.models import TenantModel


class Event(models.Model):
    """Something that happened, told once and never changed.

    Partitioned by month of `at`. `seq`, `hash` and `sealed_at` are empty until the sealer sets them, once.
    The row copies ids and labels and refers to nothing, so that history outlives its subject.
    """

    id = models.UUIDField(primary_key=True)
    org_id = models.UUIDField()
    at = models.DateTimeField()
    kind = models.TextField()
    actor_kind = models.TextField()
    actor_id = models.TextField()
    actor_label = models.TextField()
    target_kind = models.TextField()
    target_id = models.TextField()
    target_label = models.TextField()
    workspace_id = models.UUIDField(null=True)
    request_id = models.TextField()
    facts = models.JSONField(default=dict)
    seq = models.BigIntegerField(null=True)
    hash = models.BinaryField(null=True)
    sealed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audit_event"

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class ChainHead(models.Model):
    """Where an organization's chain stands: how far it is sealed, and how far signed."""

    org_id = models.UUIDField(primary_key=True)
    seq = models.BigIntegerField()
    hash = models.BinaryField()
    signed_seq = models.BigIntegerField(default=0)
    signed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audit_chain_head"

    def __str__(self) -> str:
        return f"{self.org_id} at {self.seq}"


class Checkpoint(TenantModel):
    """A signature over a chain's hash at one sequence number: whoever keeps it can tell a later rewriting."""

    seq = models.BigIntegerField()
    hash = models.BinaryField()
    at = models.DateTimeField()
    key_id = models.TextField()
    signature = models.BinaryField()
    vaulted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "audit_checkpoint"
        constraints = [models.UniqueConstraint(fields=["org_id", "seq"], name="audit_checkpoint_once")]

    def __str__(self) -> str:
        return f"{self.org_id} at {self.seq}"


class SigningKey(models.Model):
    """The public half of a key that has signed checkpoints; kept for ever, so that old checkpoints stay verifiable."""

    key_id = models.TextField(primary_key=True)
    pem = models.TextField()
    first_used_at = models.DateTimeField()

    class Meta:
        db_table = "audit_signing_key"

    def __str__(self) -> str:
        return self.key_id
