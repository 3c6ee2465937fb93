"""How somebody comes in: codes that are good once, sessions at one host, tickets for one SSH connection (L3, L8, G4)."""

from datetime import datetime

from django.db import models
from django.db.models import F, Q

from devlinks.models.links import DevLink, HostLabel
from envforge.tenancy.models import TenantModel
from orgs.models import Person
from workspaces.models import Workspace

_SOMEBODYS = Q(link__isnull=False, person=None, console_session_id=None) | Q(
    link=None, person__isnull=False, console_session_id__isnull=False
)


class DevCode(TenantModel):
    """A one-time code: for one host and for the browser that holds the state. Of code and state the digests are kept."""

    digest = models.CharField(max_length=64, unique=True)
    state = models.CharField(max_length=64)
    host = models.ForeignKey(HostLabel, on_delete=models.CASCADE, related_name="+", db_index=False)
    link = models.ForeignKey(DevLink, null=True, on_delete=models.CASCADE, related_name="+", db_index=False)
    rotation = models.PositiveIntegerField(default=0)
    person = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    console_session_id = models.UUIDField(null=True)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    spent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=_SOMEBODYS, name="devlinks_code_somebodys")]
        indexes = [models.Index(fields=["expires_at"], name="devlinks_code_expiry")]

    def __str__(self) -> str:
        return f"code of {self.made_at}"


class DevSession(TenantModel):
    """A browser at one dev host, let in by a link or by a member's own sign-in; of its 256-bit value the digest is kept.

    It works until `expires_at`, which is never later than the link's end or the sign-in's, unless it was ended before.
    """

    digest = models.CharField(max_length=64, unique=True)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+", db_index=False)
    host = models.ForeignKey(HostLabel, on_delete=models.PROTECT, related_name="+", db_index=False)
    service = models.CharField(max_length=63)
    link = models.ForeignKey(
        DevLink, null=True, on_delete=models.CASCADE, related_name="sessions", db_index=False
    )
    rotation = models.PositiveIntegerField(default=0)
    person = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    console_session_id = models.UUIDField(null=True)
    began_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    end_cause = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=_SOMEBODYS, name="devlinks_session_somebodys"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("began_at")), name="devlinks_session_times"),
        ]
        indexes = [
            models.Index(
                fields=["org_id", "link"],
                condition=Q(ended_at=None, link__isnull=False),
                name="devlinks_session_link",
            ),
            models.Index(
                fields=["org_id", "person"],
                condition=Q(ended_at=None, person__isnull=False),
                name="devlinks_session_person",
            ),
            models.Index(
                fields=["console_session_id"],
                condition=Q(ended_at=None, console_session_id__isnull=False),
                name="devlinks_session_signin",
            ),
        ]

    def __str__(self) -> str:
        return f"session at {self.service}"

    def works(self, now: datetime) -> bool:
        return self.ended_at is None and self.expires_at > now


class ShellTicket(TenantModel):
    """One SSH connection through a gateway, for whoever holds a certificate of this workspace; good once, for a minute.

    `holder_id` is the person's or the service account's: what they lose ends the connection.
    """

    digest = models.CharField(max_length=64, unique=True)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+", db_index=False)
    holder = models.CharField(max_length=200)
    person_id = models.UUIDField(null=True)
    holder_id = models.UUIDField(null=True)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    spent_at = models.DateTimeField(null=True)
    # Until when the connection may stay, and whether it was ended before.
    until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["expires_at"], name="devlinks_ticket_expiry"),
            models.Index(
                fields=["org_id", "person_id"],
                condition=Q(ended_at=None, person_id__isnull=False),
                name="devlinks_ticket_person",
            ),
        ]

    def __str__(self) -> str:
        return f"ticket of {self.holder}"
