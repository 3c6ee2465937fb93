"""Gateway processes, what they are told in the order of commits, and what they did about it (THREATS G1, G2, G5).

These tables belong to no organization: they hold ids and words of ours, and every gateway is told all of it.
"""

from django.db import models
from django.db.models import Q

from envforge.ids import uuid7


class Gateway(models.Model):
    """One gateway process. `acknowledged` is the revision up to which it has applied everything.

    Until `leased_until` it may still lead somebody somewhere; afterwards it has cut everything by itself (THREATS G2). Null before its first
    stream: it leads nobody anywhere without one.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Drawn by the process when it starts; one that had to register again is another gateway.
    instance = models.UUIDField()
    name = models.CharField(max_length=63)
    version = models.CharField(max_length=64)
    registered_at = models.DateTimeField()
    heard_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True)
    acknowledged = models.PositiveBigIntegerField()
    left_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["leased_until"], condition=Q(left_at=None), name="devlinks_gateway_leased"),
        ]

    def __str__(self) -> str:
        return self.name


class GatewayToken(models.Model):
    """A gateway's token, by its digest."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    gateway = models.ForeignKey(Gateway, on_delete=models.CASCADE, related_name="tokens")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"token of {self.gateway_id}"


class LinkKey(models.Model):
    """The public half of a key that signs links (Ed25519); the private half is a platform secret (S5).

    One signs. A retired one is good for what it signed until `good_until`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kid = models.CharField(max_length=64, unique=True)
    x = models.CharField(max_length=43)
    made_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)
    good_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                models.Value(1), condition=Q(retired_at=None), name="devlinks_key_one_signs"
            ),
            models.CheckConstraint(
                condition=Q(retired_at=None, good_until=None)
                | Q(retired_at__isnull=False, good_until__isnull=False),
                name="devlinks_key_retired",
            ),
        ]

    def __str__(self) -> str:
        return self.kid


class Revision(models.Model):
    """The last number that was given to a purge; one row."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    value = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="devlinks_revision_one")]

    def __str__(self) -> str:
        return str(self.value)


class Purge(models.Model):
    """Something that gateways must forget. PostgreSQL numbers it while its transaction commits (`devlinks.purges`).

    `settled_at`: every gateway that could still lead somewhere has applied it, or its lease has lapsed.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Set by the database alone.
    revision = models.PositiveBigIntegerField(unique=True, null=True)
    numbering = models.BooleanField(default=False)
    kind = models.CharField(max_length=12)
    key_id = models.UUIDField(null=True)
    epoch = models.PositiveIntegerField(null=True)
    reason = models.CharField(max_length=60)
    cut = models.BooleanField(default=True)
    # Whose act it was; not `org_id`, since this is no tenant's table.
    organization_id = models.UUIDField(null=True)
    at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["organization_id", "kind", "key_id"], name="devlinks_purge_key"),
            models.Index(fields=["at"], condition=Q(settled_at=None), name="devlinks_purge_open"),
        ]

    def __str__(self) -> str:
        return f"purge {self.revision}: {self.kind} {self.key_id}"


class PurgeReceipt(models.Model):
    """What one gateway did about one purge. `emptied`: it forgot everything, and which connections it cut is not told apart."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    revision = models.PositiveBigIntegerField()
    gateway = models.ForeignKey(Gateway, on_delete=models.CASCADE, related_name="+")
    applied_at = models.DateTimeField()
    cut = models.PositiveIntegerField()
    emptied = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["revision", "gateway"], name="devlinks_receipt_once"),
        ]

    def __str__(self) -> str:
        return f"{self.cut} cut for {self.revision}"
