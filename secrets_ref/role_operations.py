"""Roles in customers' accounts: registering, checking, removing them, and importing secrets through them (THREATS K1)."""

import re
from uuid import UUID, uuid4

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, Invalid, NotVisible
from envforge.ids import id_of_request
from envforge_protocol.credentials import credential_in
from orgs import policy
from orgs.policy import Action
from secrets_ref import customer_roles, imports, paths
from secrets_ref.models import CustomerRole, Secret
from secrets_ref.places import place_target
from secrets_ref.troubles import StoreRefused

ARN_WORDS = (
    f"Use the ARN of a role without a path whose name begins with {customer_roles.NAME_BEGINS}, such as "
    f"arn:aws:iam::111122223333:role/{customer_roles.NAME_BEGINS}."
)
REGION_WORDS = "Use the region the parameters are in, such as eu-central-1."
PATH_WORDS = (
    "Use the path or ARN of a parameter in this role's account and region, such as /billing/DATABASE_URL."
)
NAME_WORDS = "Use a letter, then letters, digits and _ . - alone; 64 characters at most."
UNCHECKED = "This role was not seen to hold. Check it first."


def register_customer_role(
    *, actor: Actor, org_id: UUID, role_arn: str, region: str, key: str = ""
) -> CustomerRole:
    """Register a role, with an external id made for it; nothing is read through it before `check_customer_role` saw it hold.

    Args:
        key: the same for the same request sent twice; the second then changes and records nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: the ARN or the region is none.
        Conflict: it is registered already.
    """
    with tenancy.enter(org_id):
        policy.require_here(actor, Action.CUSTOMER_ROLE_MANAGE)
        wrong = {}
        if not re.fullmatch(customer_roles.ROLE_FORM, role_arn) or credential_in(role_arn):
            wrong["role_arn"] = ARN_WORDS
        if len(region) > 30 or not re.fullmatch(customer_roles.REGION_FORM, region):
            wrong["region"] = REGION_WORDS
        if wrong:
            raise Invalid("This role cannot be registered.", wrong)
        wanted_id = id_of_request(org_id, actor, key)
        row, made = CustomerRole.objects.get_or_create(
            role_arn=role_arn,
            region=region,
            removed_at=None,
            defaults={"id": wanted_id, "external_id": f"envforge-{uuid4().hex}"},
        )
        if not made and row.id != wanted_id:
            raise Conflict("This role is registered already, for this region.")
        if made:
            append(EventKind.CUSTOMER_ROLE_REGISTERED, actor=actor, target=row)
        return row


def check_customer_role(*, actor: Actor, org_id: UUID, role_id: UUID) -> str:
    """Try whether a role lets EnvForge in with its external id and nobody without it; answers what is wrong, in words, or nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; there is no such role.
        Unavailable: STS or the store does not answer.
    """
    with tenancy.enter(org_id):
        policy.require_here(actor, Action.CUSTOMER_ROLE_MANAGE)
        role = _role(role_id)
    try:
        trouble = customer_roles.what_is_wrong(role)
    except StoreRefused as refused:
        raise refused.in_words() from None
    with tenancy.enter(org_id):
        row = _role(role_id)
        row.trouble = trouble
        row.checked_at = row.checked_at if trouble else timezone.now()
        row.save(update_fields=["trouble", "checked_at"])
        append(EventKind.CUSTOMER_ROLE_CHECKED, actor=actor, target=row, result=trouble or "holds")
    return customer_roles.WORDS[trouble] if trouble else ""


def remove_customer_role(*, actor: Actor, org_id: UUID, role_id: UUID) -> None:
    """Forget a role through which nothing is read any more.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; there is no such role.
        Conflict: a secret is read through it.
    """
    with tenancy.enter(org_id):
        policy.require_here(actor, Action.CUSTOMER_ROLE_MANAGE)
        row = _role(role_id)
        first = row.secrets.filter(deleted_at=None).order_by("name").first()
        if first is not None:
            raise Conflict(f"The secret {first.name} is read through it. Delete that first.")
        row.removed_at = timezone.now()
        row.save(update_fields=["removed_at"])
        append(EventKind.CUSTOMER_ROLE_REMOVED, actor=actor, target=row)


def import_through_role(
    *,
    actor: Actor,
    org_id: UUID,
    role_id: UUID,
    path: str,
    name: str,
    project_id: UUID | None = None,
    workspace_id: UUID | None = None,
) -> Secret:
    """Refer to a parameter in the customer's account; its value is read by hosts alone, and stays where it is.

    Whoever imports could read anything that the role may: it takes who manages roles, and who changes secrets in the place.
    Importing it again changes nothing.

    Args:
        path: of the parameter, or its ARN.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; no such role, project or workspace.
        Invalid: the path or the name is none, or nothing that could be a secret is there.
        Conflict: the role was not seen to hold; there is another secret of this name here.
        Unavailable: the store refuses or does not answer.
    """
    with tenancy.enter(org_id):
        policy.require_here(actor, Action.CUSTOMER_ROLE_MANAGE)
        policy.require(actor, Action.SECRET_CHANGE, place_target(project_id, workspace_id))
        role = _role(role_id)
        found_path = customer_roles.path_in(role, path)
        if found_path is None or credential_in(path):
            raise Invalid("This cannot be imported.", {"path": PATH_WORDS})
        if not re.fullmatch(paths.NAME_FORM, name) or credential_in(name):
            raise Invalid("This cannot be imported.", {"name": NAME_WORDS})
        if role.trouble:
            raise Conflict(UNCHECKED)
    try:
        found = next(iter(customer_roles.describe(role, [found_path])), None)
    except StoreRefused as refused:
        raise refused.in_words() from None
    found = imports.require_importable(found)
    with tenancy.enter(org_id):
        return imports.take_up(
            actor, found, name=name, project_id=project_id, workspace_id=workspace_id, role=_role(role_id)
        )


def _role(role_id: UUID) -> CustomerRole:
    row = CustomerRole.objects.select_for_update().filter(id=role_id, removed_at=None).first()
    if row is None:
        raise NotVisible
    return row
