"""Programs that act in an organization, and their tokens: scoped, expiring, shown once, kept as digests (I3)."""

import secrets
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, Invalid, NotVisible
from envforge.secret_value import SecretValue
from orgs import policy
from orgs.access import hold_access, locked_organization
from orgs.digests import digest
from orgs.holdings import end_account, end_tokens
from orgs.models import Membership, Person, RoleGrant, ServiceAccount, Token
from orgs.policy import Action
from orgs.roles import IN_ORGANIZATION, Role, Scope

PREFIX = "envf_sa_"
LONGEST = timedelta(days=366)
MAX_NAME_LENGTH = 80


def create_service_account(
    *, actor: Actor, org_id: UUID, creator: Person, name: str, role: Role, acts_for: UUID | None = None
) -> ServiceAccount:
    """Create a program's account with one role in the organization.

    Args:
        acts_for: the member an agent acts for; both stand in the audit.

    Raises:
        NotVisible, NotAllowed: see `policy.require_grantable`; nobody creates an account above their own role.
        Invalid: the name, role or member cannot be used.
        Conflict: another account has the name.
    """
    with tenancy.enter(org_id):
        organization = locked_organization()
        policy.require_grantable(actor, Action.SERVICE_ACCOUNT_MANAGE, role, organization)
        name = _name(name)
        if role not in IN_ORGANIZATION - {Role.OWNER}:
            raise Invalid("An account cannot have that role.", {"role": "Choose one of the list."})
        if acts_for and not Membership.objects.filter(person_id=acts_for, suspended_at=None).exists():
            raise Invalid("An agent acts for a member.", {"acts_for": "Choose one of the members."})
        if ServiceAccount.objects.filter(name=name, removed_at=None).exists():
            raise Conflict(f"There is an account {name} already; choose another name.")
        account = ServiceAccount.objects.create(name=name, acts_for_id=acts_for, created_by=creator)
        RoleGrant.objects.create(service_account=account, role=role, scope=Scope.ORGANIZATION)
        append(EventKind.SERVICE_ACCOUNT_CREATED, actor=actor, target=account)
        return account


def remove_service_account(*, actor: Actor, org_id: UUID, account_id: UUID) -> int:
    """End an account and its tokens; answers how many tokens were open. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        account = _lock_account(actor, account_id)
        if account.removed_at is not None:
            return 0
        ended = end_tokens(account.tokens.all(), actor=actor, cause="account_removed")
        end_account(account, actor=actor, cause="removed")
        return ended


def issue_token(
    *,
    actor: Actor,
    org_id: UUID,
    issuer: Person,
    account_id: UUID,
    name: str,
    scopes: frozenset[str],
    lifetime: timedelta,
) -> tuple[Token, SecretValue]:
    """Issue a token; its value is in the answer and nowhere else.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; nobody issues a scope they do not hold themselves (N2).
        Invalid: the name, scopes or lifetime cannot be used.
        Conflict: the account was removed, or a token that works has the name.
    """
    with tenancy.enter(org_id):
        account = _lock_account(actor, account_id)
        if account.removed_at is not None:
            raise Conflict(f"The account {account.name} was removed; create another.")
        name = _name(name)
        unknown = scopes - set(Action)
        if unknown or not scopes:
            raise Invalid(
                "A token needs scopes.", {"scopes": f"Choose from the list of actions{_listed(unknown)}."}
            )
        policy.require_holding(actor, Action.SERVICE_ACCOUNT_MANAGE, frozenset(map(Action, scopes)), account)
        if not timedelta(minutes=1) <= lifetime <= LONGEST:
            raise Invalid("A token expires.", {"lifetime": "Choose from one minute to one year."})
        now = timezone.now()
        if account.tokens.filter(name=name, ended_at=None, expires_at__gt=now).exists():
            raise Conflict(f"There is a token {name} already; revoke it, or choose another name.")
        value = PREFIX + secrets.token_urlsafe(32)
        token = Token.objects.create(
            account=account,
            name=name,
            digest=digest(value),
            scopes=sorted(scopes),
            issued_by=issuer,
            expires_at=now + lifetime,
        )
        append(
            EventKind.TOKEN_ISSUED,
            actor=actor,
            target=token,
            scopes_count=len(scopes),
            expires_at=token.expires_at,
        )
        return token, SecretValue(value)


def revoke_token(*, actor: Actor, org_id: UUID, token_id: UUID) -> None:
    """End a token at once; one that is over stays as it is.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        hold_access()
        policy.require_here(actor, Action.SERVICE_ACCOUNT_MANAGE)
        tokens = Token.objects.filter(id=token_id)
        if not tokens.exists():
            raise NotVisible
        end_tokens(tokens, actor=actor, cause="revoked")


def _lock_account(actor: Actor, account_id: UUID) -> ServiceAccount:
    # The organization first, so that nobody is removed while they issue a token: what closes all they hold would miss it.
    hold_access()
    policy.require_here(actor, Action.SERVICE_ACCOUNT_MANAGE)
    account = ServiceAccount.objects.select_for_update().filter(id=account_id).first()
    if account is None:
        raise NotVisible
    return account


def _name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        raise Invalid("The name cannot be used.", {"name": "Use one line of 1 to 80 characters."})
    return name


def _listed(unknown: set[str] | frozenset[str]) -> str:
    return f"; there is no {', '.join(sorted(unknown)[:3])}" if unknown else ""
