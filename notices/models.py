"""E-mail that is wanted, and what came of it."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from envforge.tenancy.models import TenantModel


class Email(TenantModel):
    """One notice to one recipient, written with what causes it; a worker sends it after the commit.

    Wanted: a row with neither `sent_at` nor `given_up_at` is to be sent. Observed: these two, `attempts`, `last_error`.
    `due_at` is when the next step is to be taken: the next attempt, or the row's removal once all is done. Taking an
    attempt moves it first, so that it is a lease too.

    `kind` is a `Notice`. No link stands here, only what a link is made from when the mail is sent.
    """

    kind = models.TextField()
    to_person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    to_address = models.EmailField(blank=True, default="")
    parameters = models.JSONField(default=dict)
    link_source = models.TextField(blank=True, default="")
    link_id = models.UUIDField(null=True)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.TextField(blank=True, default="")
    sent_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(to_person__isnull=False, to_address="")
                | Q(to_person__isnull=True) & ~Q(to_address=""),
                name="notices_email_one_recipient",
            ),
            models.CheckConstraint(
                condition=Q(sent_at__isnull=True) | Q(given_up_at__isnull=True), name="notices_email_one_end"
            ),
            models.CheckConstraint(
                condition=Q(link_id__isnull=True, link_source="")
                | Q(link_id__isnull=False) & ~Q(link_source=""),
                name="notices_email_whole_link",
            ),
        ]
        indexes = [
            # The first finds organizations with something due, the second what is due in one.
            models.Index(fields=["due_at", "org_id"], name="notices_email_due"),
            models.Index(fields=["org_id", "due_at"], name="notices_email_org_due"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"
