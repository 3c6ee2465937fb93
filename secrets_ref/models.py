"""Names, paths, versions and who reads them; never a value, nor anything made from one (S1, K3)."""

from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Q

from envforge.actor import SYSTEM, Actor, ServiceAccountActor, Target, UserActor
from envforge.tenancy.models import TenantModel


class Wanted(models.TextChoices):
    """What is wanted of a secret."""

    PRESENT = "present"
    ABSENT = "absent"


class Cause(models.TextChoices):
    """How a version came about."""

    SET = "set"
    ROTATED = "rotated"
    IMPORTED = "imported"
    OUTSIDE = "outside"


class Outcome(models.TextChoices):
    """What came of a write; `ASKED` until that is known."""

    ASKED = "asked"
    WRITTEN = "written"
    REFUSED = "refused"
    LOST = "lost"


class Drift(models.TextChoices):
    """How the store differs from what was done here."""

    NONE = ""
    CHANGED = "changed"
    DELETED = "deleted"


class Store(TenantModel):
    """What an organization's secrets share: their key, and when the store is next compared with our rows.

    Wanted: a key, since `key_wanted_at`. Observed: `key_arn`. `key_leased_until` keeps a second process from making a second key.
    """

    key_wanted_at = models.DateTimeField(null=True)
    key_leased_until = models.DateTimeField(null=True)
    key_arn = models.TextField(blank=True, default="")
    key_observed_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField()
    compared_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org_id"], name="secrets_ref_store_one")]
        indexes = [models.Index(fields=["due_at", "org_id"], name="secrets_ref_store_due")]

    def __str__(self) -> str:
        return f"Secrets of {self.org_id}"


class CustomerRole(TenantModel):
    """A role in the customer's own account through which their parameters are read; used only with `external_id` (THREATS K1).

    `checked_at` is when it was last seen to hold; `trouble` what was wrong since, a key of `customer_roles.WORDS`.
    """

    role_arn = models.CharField(max_length=150)
    region = models.CharField(max_length=30)
    external_id = models.CharField(max_length=60)
    created_at = models.DateTimeField(auto_now_add=True)
    checked_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=20, blank=True, default="unchecked")
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "role_arn", "region"],
                condition=Q(removed_at=None),
                name="secrets_ref_customerrole_one",
            ),
        ]

    def __str__(self) -> str:
        return self.role_arn.rpartition("/")[2]

    def as_target(self) -> Target:
        return Target("customer_role", str(self.id), str(self))


class Secret(TenantModel):
    """A named reference to a parameter, of the organization, one of its projects or one of its workspaces.

    With a `role` the parameter is the customer's own, in their account: EnvForge never writes it, nor deletes it.

    Wanted: `wanted`, since `wanted_at`, by whoever `wanted_by` names. Observed: `version` (none before the first value
    arrived), `modified_at` (the store's own time, known once it was compared), `deleted_at`. `settled_version` is up to
    where every version's origin is known; `generation` counts how often the parameter began anew at version 1.
    """

    project_id = models.UUIDField(null=True)
    workspace_id = models.UUIDField(null=True)
    name = models.CharField(max_length=64)
    path = models.CharField(max_length=200)
    role = models.ForeignKey(
        CustomerRole, null=True, on_delete=models.PROTECT, related_name="secrets", db_index=False
    )
    wanted = models.CharField(max_length=10, choices=Wanted.choices, default=Wanted.PRESENT)
    wanted_at = models.DateTimeField()
    wanted_by_kind = models.CharField(max_length=20)
    wanted_by_id = models.CharField(max_length=60)
    wanted_by = models.CharField(max_length=200)
    generation = models.PositiveIntegerField(default=1)
    version = models.PositiveIntegerField(null=True)
    settled_version = models.PositiveIntegerField(default=0)
    modified_at = models.DateTimeField(null=True)
    drift = models.CharField(max_length=10, choices=Drift.choices, blank=True, default=Drift.NONE)
    drifted_at = models.DateTimeField(null=True)
    changed_by = models.CharField(max_length=200, blank=True, default="")
    changed_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "project_id", "workspace_id", "name"],
                condition=Q(deleted_at=None),
                nulls_distinct=False,
                name="secrets_ref_secret_one_live",
            ),
            models.CheckConstraint(
                condition=Q(workspace_id=None) | Q(project_id__isnull=False), name="secrets_ref_secret_place"
            ),
        ]
        indexes = [
            models.Index(
                fields=["org_id", "name", "id"], condition=Q(deleted_at=None), name="secrets_ref_secret_live"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def in_use(self) -> bool:
        """Whether what names it may still be given it: once it goes, its name may mean a wider one's."""
        return self.deleted_at is None and self.wanted == Wanted.PRESENT

    def as_target(self) -> Target:
        return Target(
            "secret", str(self.id), self.name, workspace_id=self.workspace_id, project_id=self.project_id
        )


class SecretVersion(TenantModel):
    """One version of a secret, from the moment it was asked for; the id is that of the request that asks.

    Written before the value goes to the store, so that a version whose writer died is known to be theirs. Until
    `leased_until` its writer is at work. An attempt that died may have left a version of its own.
    """

    secret = models.ForeignKey(Secret, on_delete=models.PROTECT, related_name="versions", db_index=False)
    generation = models.PositiveIntegerField(default=1)
    version = models.PositiveIntegerField(null=True)
    cause = models.CharField(max_length=10, choices=Cause.choices)
    attempts = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.ASKED)
    trouble = models.CharField(max_length=20, blank=True, default="")
    asked_at = models.DateTimeField()
    asked_by_kind = models.CharField(max_length=20)
    asked_by_id = models.CharField(max_length=60)
    asked_by = models.CharField(max_length=200)
    leased_until = models.DateTimeField()
    observed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "secret", "generation", "version"], name="secrets_ref_version_once"
            ),
            models.CheckConstraint(
                condition=~Q(outcome=Outcome.WRITTEN) | Q(version__isnull=False),
                name="secrets_ref_version_written",
            ),
        ]
        indexes = [
            models.Index(fields=["org_id", "secret", "-asked_at"], name="secrets_ref_version_newest"),
            models.Index(
                fields=["org_id", "secret"],
                condition=Q(outcome=Outcome.ASKED),
                name="secrets_ref_version_asked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.secret_id} {self.version}"


class Consumption(TenantModel):
    """That a service of a workspace read a version on a host, the last time; `running` until it reads another or ends.

    At most one row of a secret, workspace and service is running, so whoever runs an old version is one query away.
    """

    secret = models.ForeignKey(Secret, on_delete=models.PROTECT, related_name="+", db_index=False)
    generation = models.PositiveIntegerField()
    version = models.PositiveIntegerField()
    workspace_id = models.UUIDField()
    service = models.CharField(max_length=63)
    host_id = models.UUIDField()
    run_id = models.UUIDField()
    consumed_at = models.DateTimeField()
    running = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "secret", "workspace_id", "service", "host_id", "generation", "version"],
                name="secrets_ref_consumption_once",
            ),
            models.UniqueConstraint(
                fields=["org_id", "secret", "workspace_id", "service"],
                condition=Q(running=True),
                name="secrets_ref_consumption_running",
            ),
        ]
        indexes = [
            models.Index(fields=["org_id", "host_id"], name="secrets_ref_consumption_host"),
            models.Index(
                fields=["org_id", "workspace_id"],
                condition=Q(running=True),
                name="secrets_ref_consumption_ws",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.service} {self.version}"


def written_by(actor: Actor, prefix: str) -> dict[str, Any]:
    """The columns that remember an actor."""
    return {f"{prefix}_kind": actor.kind, f"{prefix}_id": actor.id, prefix: actor.label}


def remembered(org_id: UUID, kind: str, actor_id: str, label: str) -> Actor:
    """The actor that such columns remember: who asked, for an event that is written after they were gone."""
    if kind == UserActor.kind:
        return UserActor(id=actor_id, label=label, person_id=UUID(actor_id))
    if kind == ServiceAccountActor.kind:
        account = UUID(actor_id)
        return ServiceAccountActor(
            id=actor_id, label=label, account_id=account, org_id=org_id, scopes=frozenset()
        )
    return SYSTEM
