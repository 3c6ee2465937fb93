"""Gateway processes: each has an identity of its own for minutes, and a lease for as long as it is told that it is current (G1, G2, G5)."""

import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar, NoReturn
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from audit.append import append_platform
from audit.kinds import EventKind
from devlinks import link_keys
from devlinks.models import Gateway, GatewayToken
from devlinks.purges import revision_now
from envforge.actor import SYSTEM, Target
from envforge.windows import Window
from envforge_protocol.gateway.base import digest
from envforge_protocol.gateway.identity import Grace, Registered, RegisterRequest, Renewed
from hosts.errors import HostRefusal

PREFIX = "envf_gateway_"
MAX_LENGTH = 100
LIFETIME = timedelta(minutes=10)
RENEW_AFTER_S = 300
# For so long after its last lease was written may a stream go on writing heartbeats; a lease covers that, and the grace.
FED_FOR = timedelta(seconds=2)
REFUSAL_WINDOW_S = 60
# Gateways that were silent for so long are forgotten, with their receipts; the audit keeps what was cut.
KEPT = timedelta(days=90)
SIGN_IN_PATH = "/dev/enter"


class CredentialRefused(HostRefusal):
    """The deployment's credential is not taken."""

    status: ClassVar[int] = 403
    title: ClassVar[str] = "Not let in"

    def __init__(self) -> None:
        super().__init__(
            "credential", "This credential is not ENVFORGE_GATEWAY_CREDENTIAL of the control plane."
        )


class GatewayNotRecognised(HostRefusal):
    """No token, or none that works."""

    status: ClassVar[int] = 401
    title: ClassVar[str] = "Not recognised"

    def __init__(self) -> None:
        super().__init__(
            "token", "This token is unknown or has expired. Forget everything, and register again."
        )


def grace() -> Grace:
    heartbeat, refuse, cut = settings.GATEWAY_GRACE_MS
    return Grace(heartbeat_every_ms=heartbeat, refuse_after_ms=refuse, cut_after_ms=cut)


def lease() -> timedelta:
    """How long a gateway may lead somebody somewhere after it was last entitled to heartbeats."""
    heartbeat, _, cut = settings.GATEWAY_GRACE_MS
    return FED_FOR + timedelta(milliseconds=cut + heartbeat)


def register(credential: str, request: RegisterRequest) -> Registered:
    """Let a process in that holds the deployment's credential; it is a new gateway, with nothing decided.

    Raises:
        CredentialRefused: it does not hold it.
    """
    if not _is_credential(credential):
        _refuse("credential")
    # Before the row: what it has acknowledged is no more than what it will be told from here on.
    revision = revision_now()
    now = timezone.now()
    with transaction.atomic():
        gateway = Gateway.objects.create(
            instance=request.instance,
            name=request.name,
            version=request.version,
            registered_at=now,
            heard_at=now,
            acknowledged=revision,
        )
        token, expires_at = _issue(gateway, now)
        append_platform(
            EventKind.GATEWAY_REGISTERED, actor=SYSTEM, target=_target(gateway), version=request.version
        )
    return Registered.model_validate(
        {
            "gateway_id": gateway.id,
            "token": token,
            "expires_at": expires_at,
            "renew_after_s": RENEW_AFTER_S,
            "now": database_now(),
            "revision": revision,
            "keys": link_keys.public_keys(),
            "grace": grace(),
            "sign_in_url": settings.CONSOLE_URL + SIGN_IN_PATH,
        }
    )


def renew(held: str) -> Renewed:
    """A further token of the same gateway; the earlier one works until it ends. Raises GatewayNotRecognised."""
    gateway = gateway_of(held)
    now = timezone.now()
    with transaction.atomic():
        GatewayToken.objects.filter(gateway=gateway, expires_at__lte=now).delete()
        token, expires_at = _issue(gateway, now)
        Gateway.objects.filter(id=gateway.id).update(heard_at=now)
    return Renewed.model_validate(
        {"token": token, "expires_at": expires_at, "renew_after_s": RENEW_AFTER_S, "now": database_now()}
    )


def leave(held: str) -> None:
    """A process has nothing open any more: nobody waits for it from now on. Raises GatewayNotRecognised."""
    gateway = gateway_of(held)
    with transaction.atomic():
        Gateway.objects.filter(id=gateway.id).update(left_at=timezone.now())
        GatewayToken.objects.filter(gateway=gateway).delete()


def gateway_of(held: str) -> Gateway:
    """Whose token this is. Raises GatewayNotRecognised: it does not work."""
    if held.startswith(PREFIX) and len(held) <= MAX_LENGTH and held.isascii():
        found = GatewayToken.objects.select_related("gateway").filter(
            digest=digest(held), expires_at__gt=timezone.now(), gateway__left_at=None
        )
        for token in found:
            return token.gateway
    raise GatewayNotRecognised


def extend_leases(gateway_ids: Iterable[UUID]) -> None:
    """Entitle gateways to heartbeats for `FED_FOR`. Written before the first of them is sent, so that no lease ends too early."""
    now = timezone.now()
    Gateway.objects.filter(Q(id__in=list(gateway_ids)), left_at=None).update(
        heard_at=now, leased_until=now + lease()
    )


def forget_old(now: datetime) -> None:
    """A sweep: gateways that have been gone for long."""
    Gateway.objects.filter(heard_at__lt=now - KEPT).delete()
    GatewayToken.objects.filter(expires_at__lt=now).delete()


def database_now() -> datetime:
    """PostgreSQL's clock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def _is_credential(given: str) -> bool:
    known = [hmac.compare_digest(given.encode(), one.encode()) for one in settings.GATEWAY_CREDENTIALS]
    return any(known)


def _issue(gateway: Gateway, now: datetime) -> tuple[str, datetime]:
    held = PREFIX + secrets.token_urlsafe(32)
    token = GatewayToken.objects.create(gateway=gateway, digest=digest(held), expires_at=now + LIFETIME)
    return held, token.expires_at


def _target(gateway: Gateway) -> Target:
    return Target("gateway", str(gateway.id), gateway.name)


def _refuse(reason: str) -> NoReturn:
    window = Window("gateway.refused", (reason,), REFUSAL_WINDOW_S)
    if not window.is_recorded():
        with transaction.atomic():
            target = Target("gateway", "unknown", "an unknown gateway")
            append_platform(EventKind.GATEWAY_REFUSED, actor=SYSTEM, target=target, reason=reason)
            window.mark_after_commit()
    raise CredentialRefused
