"""Every write to organizations and their people, by noun."""

from orgs.operations.invitations import accept_invitation, invite_member, revoke_invitation
from orgs.operations.members import (
    Receipt,
    add_member,
    remove_member,
    restore_member,
    suspend_member,
)
from orgs.operations.organizations import create_organization, rename_organization
from orgs.operations.people import remember_person
from orgs.operations.roles import grant_role, revoke_role
from orgs.operations.service_accounts import (
    create_service_account,
    issue_token,
    remove_service_account,
    revoke_token,
)

__all__ = [
    "Receipt",
    "accept_invitation",
    "add_member",
    "create_organization",
    "create_service_account",
    "grant_role",
    "invite_member",
    "issue_token",
    "remember_person",
    "remove_member",
    "remove_service_account",
    "rename_organization",
    "restore_member",
    "revoke_invitation",
    "revoke_role",
    "revoke_token",
    "suspend_member",
]
