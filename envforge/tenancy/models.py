"""The base of every tenant table."""

from django.db import models

from envforge import tenancy
from envforge.ids import uuid7


class TenantModel(models.Model):
    """A row that belongs to one organization.

    Its migration raises the walls with `envforge.tenancy.migrations.Wall`; a test names the table that forgot.
    `org_id` is no Django relation, so that nothing below `orgs` points up to it; the wall adds the SQL foreign key.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    org_id = models.UUIDField(default=tenancy.current_org, editable=False)

    class Meta:
        abstract = True
