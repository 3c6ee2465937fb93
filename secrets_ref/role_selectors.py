"""The roles through which an organization's own parameters are read."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from envforge.actor import Actor
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action
from orgs.selectors import visible
from secrets_ref import customer_roles
from secrets_ref.models import CustomerRole


@dataclass(frozen=True, slots=True)
class CustomerRoleView:
    """A role with what its account must give it; `trouble` says in words why nothing is read through it, empty where it holds."""

    id: UUID
    name: str
    role_arn: str
    region: str
    external_id: str
    trust_policy: str
    permissions: str
    trouble: str
    checked_at: datetime | None
    secrets: list[str]


@dataclass(frozen=True, slots=True)
class CustomerRoles:
    """The roles in use, by name."""

    organization: Organization
    roles: list[CustomerRoleView]


def roles(*, actor: Actor, slug: str) -> CustomerRoles:
    """The roles in use.

    Raises:
        NotVisible, NotAllowed: there is no such organization for this actor; see `policy.require`.
    """
    with visible(actor, slug) as (found, _):
        policy.require(actor, Action.CUSTOMER_ROLE_MANAGE, found)
        rows = CustomerRole.objects.filter(removed_at=None).prefetch_related("secrets")
        return CustomerRoles(found, [_view(row) for row in rows.order_by("role_arn", "region")])


def _view(row: CustomerRole) -> CustomerRoleView:
    return CustomerRoleView(
        row.id,
        str(row),
        row.role_arn,
        row.region,
        row.external_id,
        customer_roles.trust_policy(row),
        customer_roles.permissions(row),
        customer_roles.WORDS[row.trouble] if row.trouble else "",
        row.checked_at,
        sorted(one.name for one in row.secrets.all() if one.deleted_at is None),
    )
