"""Organizations, the people in them, and what those people may do."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.core.validators import RegexValidator
from django.db import models

from envforge import tenancy
from envforge.actor import SupportActor, Target, UserActor
from envforge.ids import uuid7
from envforge.tenancy.models import TenantModel
from orgs.roles import IN_ORGANIZATION, ROLES_OF, Role, Scope

# A DNS label that can stand in a dev host (L2), without the doubled dash that separates labels there.
SLUG_FORM = r"[a-z0-9](?:-?[a-z0-9]){1,38}"


class Organization(models.Model):
    """A customer: the tenant itself."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.TextField(unique=True, validators=[RegexValidator(rf"\A{SLUG_FORM}\Z")])
    name = models.CharField(max_length=80)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(slug__regex=rf"^{SLUG_FORM}$"), name="orgs_organization_slug_form"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def as_target(self) -> Target:
        return Target("organization", str(self.id), self.name)


class Person(AbstractBaseUser):
    """Somebody an identity provider knows, keyed by issuer and subject; the e-mail address is only a way to reach them (N2)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    issuer = models.TextField()
    subject = models.TextField()
    email = models.EmailField()
    email_verified = models.BooleanField(default=False)
    name = models.CharField(max_length=120)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    password = None  # type: ignore[assignment]

    objects = BaseUserManager["Person"]()

    USERNAME_FIELD = "id"
    REQUIRED_FIELDS = ["issuer", "subject", "email", "name"]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="orgs_person_identity")]

    def __str__(self) -> str:
        return self.name

    def get_full_name(self) -> str:
        return self.name

    def as_target(self) -> Target:
        return Target("person", str(self.id), self.name)

    def as_actor(self) -> UserActor:
        return UserActor(id=str(self.id), label=self.name, person_id=self.id)


class ConsoleSession(models.Model):
    """One browser in which a person is signed in to a surface (console or admin); of its key only the digest is kept.

    It works until somebody ends it, its person is no longer active, nobody used it for `IDLE_LIMIT`, or `LIFETIME` is over.
    """

    IDLE_LIMIT: ClassVar = timedelta(hours=2)
    LIFETIME: ClassVar = timedelta(hours=12)
    # How coarsely `last_seen_at` is kept, so that not every page is a write.
    SEEN_STEP: ClassVar = timedelta(minutes=5)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", db_index=False)
    key_digest = models.CharField(max_length=64, unique=True)
    surface = models.CharField(max_length=10, default="console")
    browser = models.CharField(max_length=60)
    created_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    cause = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        indexes = [
            models.Index(fields=["person"], condition=models.Q(ended_at=None), name="orgs_session_of_person"),
            models.Index(
                fields=["last_seen_at"], condition=models.Q(ended_at=None), name="orgs_session_idle"
            ),
            models.Index(fields=["created_at"], condition=models.Q(ended_at=None), name="orgs_session_age"),
        ]

    def __str__(self) -> str:
        return f"{self.browser} of {self.person_id}"

    @classmethod
    def in_use_at(cls, now: datetime) -> models.Q:
        """The condition of sessions that have neither been ended nor run out."""
        fresh = models.Q(last_seen_at__gt=now - cls.IDLE_LIMIT, created_at__gt=now - cls.LIFETIME)
        return models.Q(ended_at=None) & fresh

    def why_over(self, now: datetime) -> str:
        """The cause for which the session no longer works; empty while it does."""
        if self.ended_at is not None:
            return self.cause
        if not self.person.is_active:
            return "inactive"
        if now - self.created_at >= self.LIFETIME:
            return "expired"
        return "idle" if now - self.last_seen_at >= self.IDLE_LIMIT else ""


class Membership(TenantModel):
    """A person belongs to an organization; what they may do there is in their role grants.

    While it is suspended everything is closed to them here, and nothing is deleted.
    """

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", db_index=False)
    joined_at = models.DateTimeField(auto_now_add=True)
    suspended_at = models.DateTimeField(null=True)
    # The person's name as lists sort it (`orgs.directory`): a list in order needs an index that begins with the organization.
    listed_as = models.TextField(default="", db_collation="C")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["org_id", "person"], name="orgs_membership_once")]
        indexes = [
            models.Index(fields=["person"], name="orgs_membership_person"),
            models.Index(fields=["org_id", "-joined_at", "-id"], name="orgs_membership_newest"),
            models.Index(fields=["org_id", "listed_as", "id"], name="orgs_membership_listed"),
        ]

    def __str__(self) -> str:
        return f"{self.person_id} in {self.org_id}"


class MemberWord(TenantModel):
    """A word by which a member is found: of their name or of their verified address (`orgs.directory`).

    Words are compared with = < >=, since row level security lets an index serve no LIKE.
    """

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="words", db_index=False)
    word = models.TextField(db_collation="C")
    listed_as = models.TextField(db_collation="C")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["org_id", "membership", "word"], name="orgs_member_word_once")
        ]
        indexes = [
            models.Index(fields=["org_id", "word", "listed_as", "membership"], name="orgs_member_word_found")
        ]

    def __str__(self) -> str:
        return f"{self.word} of {self.membership_id}"


class ServiceAccount(TenantModel):
    """A program that acts in the organization; an agent's acts for a named member."""

    name = models.CharField(max_length=80)
    acts_for = models.ForeignKey(
        Person, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    created_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", db_index=False)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "name"], condition=models.Q(removed_at=None), name="orgs_account_name"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def as_target(self) -> Target:
        return Target("service_account", str(self.id), self.name)


class Token(TenantModel):
    """A service account's credential: of the token only the digest is kept, and it is shown once."""

    account = models.ForeignKey(
        ServiceAccount, on_delete=models.PROTECT, related_name="tokens", db_index=False
    )
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField()
    issued_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", db_index=False)
    issued_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["org_id", "account"], name="orgs_token_account"),
            models.Index(fields=["expires_at"], condition=models.Q(ended_at=None), name="orgs_token_expiry"),
            models.Index(
                fields=["org_id", "issued_by"],
                condition=models.Q(ended_at=None),
                name="orgs_token_of_issuer",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def as_target(self) -> Target:
        return Target("token", str(self.id), self.name)


class RoleGrant(TenantModel):
    """One role of one member or service account, in the organization, a project or a workspace.

    `scope_id` is the organization's own id, or that of a project or workspace, which lie in apps above this one.
    """

    membership = models.ForeignKey(
        Membership, null=True, on_delete=models.CASCADE, related_name="grants", db_index=False
    )
    service_account = models.ForeignKey(
        ServiceAccount, null=True, on_delete=models.CASCADE, related_name="grants", db_index=False
    )
    scope = models.TextField(choices=Scope, default=Scope.ORGANIZATION)
    scope_id = models.UUIDField(default=tenancy.current_org)
    role = models.TextField(choices=Role)
    granted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "membership", "service_account", "scope", "scope_id", "role"],
                name="orgs_role_grant_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=models.Q(membership=None) ^ models.Q(service_account=None),
                name="orgs_role_grant_one_subject",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    *(models.Q(scope=scope, role__in=sorted(roles)) for scope, roles in ROLES_OF.items()),
                    _connector=models.Q.OR,
                ),
                name="orgs_role_grant_role_fits_scope",
            ),
            models.CheckConstraint(
                condition=~models.Q(scope=Scope.ORGANIZATION) | models.Q(scope_id=models.F("org_id")),
                name="orgs_role_grant_own_organization",
            ),
        ]
        indexes = [
            models.Index(fields=["org_id", "service_account"], name="orgs_role_grant_account"),
            models.Index(
                fields=["org_id", "membership"],
                condition=models.Q(role=Role.OWNER),
                name="orgs_role_grant_owners",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} in {self.scope} {self.scope_id}"


class Invitation(TenantModel):
    """Somebody is asked to become a member: once, until a time, and by this e-mail address, verified.

    The link in the mail is signed when the mail is sent, and stored nowhere.
    """

    email = models.EmailField()
    role = models.TextField(choices=Role)
    invited_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", db_index=False)
    invited_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(
        Person, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["org_id", "email"],
                condition=models.Q(accepted_at=None, ended_at=None),
                name="orgs_invitation_open_once",
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=sorted(IN_ORGANIZATION)), name="orgs_invitation_role"
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=models.Q(accepted_at=None, ended_at=None),
                name="orgs_invitation_expiry",
            ),
            models.Index(
                fields=["email"],
                condition=models.Q(accepted_at=None, ended_at=None),
                name="orgs_invitation_email",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.email} as {self.role}"

    def as_target(self) -> Target:
        return Target("invitation", str(self.id), self.email)


class StaffGrant(models.Model):
    """A person is support staff, for a time; checked at every request, so that ending it bites at once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", db_index=False)
    granted_by = models.CharField(max_length=200)
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    cause = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person"], condition=models.Q(ended_at=None), name="orgs_staff_grant_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=models.Q(ended_at=None), name="orgs_staff_grant_due"
            )
        ]

    def __str__(self) -> str:
        return f"staff grant of {self.person_id}"

    def state(self, now: datetime) -> str:
        """`live`, or why it is not."""
        if self.ended_at is not None:
            return self.cause
        return "expired" if now >= self.expires_at else "live"


class SupportVisit(TenantModel):
    """Support staff entered the organization, for a reason and a time; nobody is in two organizations at once."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", db_index=False)
    reason = models.CharField(max_length=200)
    ticket = models.CharField(max_length=60)
    entered_at = models.DateTimeField()
    until = models.DateTimeField()
    left_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person"], condition=models.Q(left_at=None), name="orgs_support_visit_once"
            )
        ]
        indexes = [
            models.Index(fields=["org_id", "-entered_at"], name="orgs_support_visit_latest"),
            models.Index(fields=["until"], condition=models.Q(left_at=None), name="orgs_support_visit_due"),
        ]

    def __str__(self) -> str:
        return f"support visit {self.id}"

    def as_actor(self) -> SupportActor:
        """Whoever is on this visit; takes the person's row."""
        return SupportActor(
            id=str(self.person_id),
            label=self.person.name,
            person_id=self.person_id,
            org_id=self.org_id,
            visit_id=self.id,
        )
