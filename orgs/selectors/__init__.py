"""Every read of organizations and their people, by noun."""

from orgs.selectors.invited import InvitationView, invitation, invitations_to
from orgs.selectors.listed import MemberView
from orgs.selectors.organizations import (
    NOWHERE,
    AboutOrganization,
    OrganizationView,
    Overview,
    SessionView,
    Settings,
    Visitor,
    organization,
    organizations,
    overview,
    person_by_verified_email,
    sessions,
    settings,
    visible,
    visitor,
)
from orgs.selectors.people import GrantView, Member, Members, OpenInvitation, member, member_by_email, members
from orgs.selectors.programs import Account, Accounts, AccountView, TokenView, account, accounts

__all__ = [
    "NOWHERE",
    "AboutOrganization",
    "Account",
    "AccountView",
    "Accounts",
    "GrantView",
    "InvitationView",
    "Member",
    "MemberView",
    "Members",
    "OpenInvitation",
    "OrganizationView",
    "Overview",
    "SessionView",
    "Settings",
    "TokenView",
    "Visitor",
    "account",
    "accounts",
    "invitation",
    "invitations_to",
    "member",
    "member_by_email",
    "members",
    "organization",
    "organizations",
    "overview",
    "person_by_verified_email",
    "sessions",
    "settings",
    "visible",
    "visitor",
]
