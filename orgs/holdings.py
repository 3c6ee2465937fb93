"""What this app lets a member hold, as `orgs.offboarding` counts and closes it (sessions stand in `orgs.sessions`)."""

from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import Actor
from orgs.access import Narrowed, tell_narrowed
from orgs.models import Invitation, RoleGrant, ServiceAccount, Token
from orgs.offboarding import Closing


def count_tokens(closing: Closing) -> int:
    return _tokens(closing).count()


def close_tokens(closing: Closing) -> int:
    """End the tokens whose secret the person has seen, and those of agents that act for them (N2)."""
    return end_tokens(_tokens(closing), actor=closing.actor, cause=closing.cause)


def count_agents(closing: Closing) -> int:
    return _agents(closing).count() if closing.for_good else 0


def close_agents(closing: Closing) -> int:
    """Remove the agents that act for whoever leaves; a suspended member's have no token that works."""
    agents = list(_agents(closing).select_for_update()) if closing.for_good else []
    for account in agents:
        end_account(account, actor=closing.actor, cause=closing.cause)
    return len(agents)


def count_invitations(closing: Closing) -> int:
    return _invitations(closing).count()


def close_invitations(closing: Closing) -> int:
    """Take back what the person sent and nobody has used: an invitation gives no more than its sender may (N2)."""
    waiting = list(_invitations(closing).select_for_update())
    for invitation in waiting:
        end_invitation(invitation, actor=closing.actor, cause=closing.cause)
    return len(waiting)


def end_tokens(tokens: "QuerySet[Token]", *, actor: Actor, cause: str) -> int:
    """End those of the tokens that still work, each with its event; answers how many."""
    now = timezone.now()
    working = list(tokens.filter(_working(now)).select_for_update().order_by("id"))
    for token in working:
        token.ended_at = now
        token.save(update_fields=["ended_at"])
        append(EventKind.TOKEN_REVOKED, actor=actor, target=token, cause=cause)
    for account_id in sorted({token.account_id for token in working}):
        if not Token.objects.filter(_working(now), account_id=account_id).exists():
            tell_narrowed(Narrowed(actor, account_id, "token_revoked", everything=True))
    return len(working)


def end_account(account: ServiceAccount, *, actor: Actor, cause: str) -> None:
    """Remove an account with its roles; its tokens are ended by whoever calls."""
    RoleGrant.objects.filter(service_account=account).delete()
    account.removed_at = timezone.now()
    account.save(update_fields=["removed_at"])
    append(EventKind.SERVICE_ACCOUNT_REMOVED, actor=actor, target=account, cause=cause)
    tell_narrowed(Narrowed(actor, account.id, "account_removed", everything=True))


def end_invitation(invitation: Invitation, *, actor: Actor, cause: str) -> None:
    """Take an open invitation back."""
    invitation.ended_at = timezone.now()
    invitation.save(update_fields=["ended_at"])
    append(EventKind.MEMBER_INVITATION_REVOKED, actor=actor, target=invitation, cause=cause)


def _working(now: object) -> Q:
    # What time has ended is the sweep's to tell, as expired.
    return Q(ended_at=None, expires_at__gt=now)


def _tokens(closing: Closing) -> "QuerySet[Token]":
    theirs = Q(issued_by_id=closing.person_id) | Q(account__in=_agents(closing))
    return Token.objects.filter(theirs, _working(timezone.now()))


def _agents(closing: Closing) -> "QuerySet[ServiceAccount]":
    return ServiceAccount.objects.filter(acts_for_id=closing.person_id, removed_at=None)


def _invitations(closing: Closing) -> "QuerySet[Invitation]":
    waiting = Invitation.objects.filter(accepted_at=None, ended_at=None, expires_at__gt=timezone.now())
    return waiting.filter(invited_by_id=closing.person_id).order_by("id")
