"""The keys that sign links: Ed25519, the private half a platform secret, kept in no database (S5, DESIGN 8).

One key signs; those before it stay good for what they signed, as long as any link may live.
"""

import base64
import secrets
from datetime import timedelta
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from audit.append import append_platform
from audit.kinds import EventKind
from devlinks.models import LinkKey
from devlinks.purges import purge
from devlinks.rules import LONGEST_EVER_S
from envforge.actor import Actor, Target
from envforge.errors import Unavailable
from envforge.secret_value import SecretValue
from envforge_protocol.gateway import identity, link_tokens
from secrets_ref.platform_secrets import keep_own_secret, read_own_secret

CHANNEL = "envforge_link_keys"


def signing_key() -> tuple[str, Ed25519PrivateKey]:
    """The id and the key that sign now; made when there is none. Call it outside of any transaction.

    Raises:
        Unavailable: the store refuses or does not answer.
    """
    kid = LinkKey.objects.filter(retired_at=None).values_list("kid", flat=True).first()
    if kid is None:
        kid = _first_key()
    return kid, _private(kid)


def public_keys() -> tuple[identity.LinkKey, ...]:
    """Every key that is good now, the one that signs first: what gateways verify with."""
    rows = LinkKey.objects.filter(Q(retired_at=None) | Q(good_until__gt=timezone.now()))
    return tuple(identity.LinkKey(kid=row.kid, x=row.x) for row in rows.order_by("-made_at")[:32])


def verifying_keys() -> dict[str, Ed25519PublicKey]:
    """The same, to verify with."""
    return {one.kid: link_tokens.public_key(one.x) for one in public_keys()}


def rotate(*, actor: Actor, distrust: bool = False) -> str:
    """Sign with a new key from now on; answers its id.

    Args:
        distrust: the earlier keys are good for nothing from now on: every link that they signed is dead until it is rotated.

    Raises:
        Unavailable: as `signing_key`.
    """
    kid, x = _make()
    now = timezone.now()
    good_until = now if distrust else now + timedelta(seconds=LONGEST_EVER_S)
    with transaction.atomic():
        LinkKey.objects.filter(retired_at=None).update(retired_at=now, good_until=good_until)
        if distrust:
            LinkKey.objects.filter(good_until__gt=now).update(good_until=now)
        LinkKey.objects.create(kid=kid, x=x, made_at=now)
        append_platform(EventKind.LINK_KEY_ROTATED, actor=actor, target=_target(kid), distrusted=distrust)
        _tell()
        if distrust:
            purge("everything", None, reason="keys")
    return kid


def _first_key() -> str:
    kid, x = _make()
    try:
        with transaction.atomic():
            LinkKey.objects.create(kid=kid, x=x, made_at=timezone.now())
            _tell()
    except IntegrityError:
        # Somebody was quicker; the key of ours signs nothing.
        return LinkKey.objects.values_list("kid", flat=True).get(retired_at=None)
    return kid


def _make() -> tuple[str, str]:
    key = Ed25519PrivateKey.generate()
    kid = f"{timezone.now():%Y-%m}-{secrets.token_hex(4)}"
    raw = base64.urlsafe_b64encode(key.private_bytes_raw()).decode()
    # Kept before anything may be signed by it.
    keep_own_secret(_name(kid), SecretValue(raw))
    return kid, link_tokens.public_text(key.public_key())


@lru_cache(maxsize=4)
def _private(kid: str) -> Ed25519PrivateKey:
    value = read_own_secret(_name(kid))
    if value is None:
        raise Unavailable(
            "The key that signs links is not in the store. Whoever runs EnvForge can rotate it."
        )
    return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(value.reveal_text()))


def _name(kid: str) -> str:
    return f"link-key.{kid}"


def _target(kid: str) -> Target:
    return Target("link_key", kid, f"link key {kid}")


def _tell() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
