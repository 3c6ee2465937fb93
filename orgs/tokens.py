"""Who a program's token stands for."""

from datetime import timedelta

from django.utils import timezone

from envforge import tenancy
from envforge.actor import ServiceAccountActor
from orgs.digests import digest
from orgs.lookups import token_by_digest
from orgs.models import Membership, Token

PREFIX = "envf_sa_"
MAX_LENGTH = 100
# How coarsely `last_used_at` is kept, so that not every request is a write.
USED_STEP = timedelta(minutes=5)


def actor_of(held: str) -> ServiceAccountActor | None:
    """The service account whose token this is; None if it is none, or works no longer.

    A token works until it is ended or expires, while its account is there and, for an agent, while the member it acts
    for is one and is not suspended.
    """
    if not held.startswith(PREFIX) or len(held) > MAX_LENGTH:
        return None
    ids = token_by_digest(digest(held))
    if ids is None:
        return None
    org_id, token_id = ids
    with tenancy.enter(org_id):
        token = Token.objects.select_related("account").filter(id=token_id).first()
        if token is None or not _works(token):
            return None
        _see(token)
        account = token.account
        return ServiceAccountActor(
            id=str(account.id),
            label=account.name,
            account_id=account.id,
            org_id=org_id,
            scopes=frozenset(token.scopes),
            acts_for=account.acts_for_id,
        )


def _works(token: Token) -> bool:
    account = token.account
    if token.ended_at is not None or token.expires_at <= timezone.now() or account.removed_at is not None:
        return False
    if account.acts_for_id is None:
        return True
    return Membership.objects.filter(person_id=account.acts_for_id, suspended_at=None).exists()


def _see(token: Token) -> None:
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at >= USED_STEP:
        Token.objects.filter(id=token.id).update(last_used_at=now)
