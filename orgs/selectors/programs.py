"""Reads of service accounts and their tokens."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q
from django.utils import timezone

from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.models import Organization, ServiceAccount, Token
from orgs.policy import Action, Answer
from orgs.roles import IN_ORGANIZATION, Role
from orgs.selectors.organizations import visible

MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class AccountView:
    """A program's account; `open_tokens` are those that work now."""

    id: UUID
    name: str
    role: str
    acts_for: str
    created_at: datetime
    open_tokens: int


@dataclass(frozen=True, slots=True)
class TokenView:
    """A token without its value, which nobody has kept."""

    id: UUID
    name: str
    scopes: tuple[str, ...]
    issued_by: str
    expires_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Accounts:
    """An organization's programs; none are listed for those who may not manage them."""

    organization: Organization
    manage: Answer
    may_give: tuple[Role, ...]
    accounts: list[AccountView]
    more: bool


@dataclass(frozen=True, slots=True)
class Account:
    """One account with the tokens that work now, and the scopes that the reader may give another one."""

    organization: Organization
    account: AccountView
    tokens: list[TokenView]
    scopes: frozenset[Action]


def accounts(*, actor: Actor, slug: str) -> Accounts:
    """The service accounts by name, up to `MOST_SHOWN`.

    Raises:
        NotVisible: as `organization`.
    """
    with visible(actor, slug, Action.SERVICE_ACCOUNT_MANAGE) as (found, answers):
        manage = answers[Action.SERVICE_ACCOUNT_MANAGE]
        may_give = policy.grantable(actor, found) & (IN_ORGANIZATION - {Role.OWNER})
        views = _accounts() if manage.allowed else []
        may_give_in_order = tuple(role for role in Role if role in may_give)
        return Accounts(found, manage, may_give_in_order, views[:MOST_SHOWN], len(views) > MOST_SHOWN)


def account(*, actor: Actor, slug: str, account_id: UUID) -> Account:
    """One account and its tokens.

    Raises:
        NotVisible: as `organization`, or there is no such account.
        NotAllowed: the actor may not manage accounts.
    """
    with visible(actor, slug) as (found, _):
        policy.require(actor, Action.SERVICE_ACCOUNT_MANAGE, found)
        mine = _accounts(Q(id=account_id))
        if not mine:
            raise NotVisible
        return Account(found, mine[0], _tokens(account_id), policy.may_hand_out(actor, *Action))


def _accounts(which: Q | None = None) -> list[AccountView]:
    working = Q(tokens__ended_at=None, tokens__expires_at__gt=timezone.now())
    rows = (
        ServiceAccount.objects.select_related("acts_for")
        .prefetch_related("grants")
        .filter(which or Q(), removed_at=None)
        .annotate(working=Count("tokens", filter=working))
        .order_by("name", "id")[: MOST_SHOWN + 1]
    )
    return [
        AccountView(
            row.id,
            row.name,
            ", ".join(sorted(grant.role for grant in row.grants.all())),
            row.acts_for.name if row.acts_for else "",
            row.created_at,
            row.working,
        )
        for row in rows
    ]


def _tokens(account_id: UUID) -> list[TokenView]:
    rows = Token.objects.select_related("issued_by").filter(
        account_id=account_id, ended_at=None, expires_at__gt=timezone.now()
    )
    return [
        TokenView(row.id, row.name, tuple(row.scopes), row.issued_by.name, row.expires_at, row.last_used_at)
        for row in rows.order_by("expires_at", "id")[:MOST_SHOWN]
    ]
