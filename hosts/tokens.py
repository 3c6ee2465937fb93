"""Which VM a token stands for. A VM gets one by joining (`hosts.joining`), for an hour; of it only the digest is kept (H4)."""

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from envforge import tenancy
from envforge.actor import HostActor
from hosts import queue
from hosts.callers import host_token_by_digest
from hosts.errors import NotRecognised
from hosts.models import Host, HostToken, HostVoice, Power

PREFIX = "envf_host_"
MAX_LENGTH = 100
LIFETIME = timedelta(hours=1)
# What is on its way with the earlier token when a VM renews it may still arrive.
OVERLAP = timedelta(minutes=1)


@contextmanager
def speaking(held: str) -> Iterator[HostActor]:
    """Enter the organization of the VM whose token this is, as that VM.

    A token works until it expires, while its generation of the host is the present one and the host is not to be ended.

    Raises:
        NotRecognised: it does not work.
    """
    ids = host_token_by_digest(digest(held)) if held.startswith(PREFIX) and len(held) <= MAX_LENGTH else None
    if ids is None:
        raise NotRecognised
    org_id, token_id = ids
    with tenancy.enter(org_id):
        token = HostToken.objects.select_related("host").filter(id=token_id).first()
        if token is None or not _works(token):
            raise NotRecognised
        yield actor_for(token.host)


def host_of(held: str) -> UUID:
    """The host whose token this is. Raises NotRecognised: it does not work."""
    with speaking(held) as actor:
        return actor.host_id


def actor_for(host: Host) -> HostActor:
    """The present generation of a host as an actor."""
    return HostActor(
        id=str(host.id),
        label=host.as_target().label,
        host_id=host.id,
        org_id=host.org_id,
        generation=host.generation,
    )


def issue(host: Host, boot_id: UUID) -> tuple[str, datetime]:
    """A new token for the present generation of a locked host, and until when it works.

    Earlier ones work `OVERLAP` longer if they are of the same start of the VM, and no longer otherwise.
    """
    now = timezone.now()
    HostToken.objects.filter(host=host).exclude(boot_id=boot_id, expires_at__gt=now).delete()
    HostToken.objects.filter(host=host, expires_at__gt=now + OVERLAP).update(expires_at=now + OVERLAP)
    held = PREFIX + secrets.token_urlsafe(32)
    token = HostToken.objects.create(
        host=host,
        generation=host.generation,
        boot_id=boot_id,
        digest=digest(held),
        issued_at=now,
        expires_at=now + LIFETIME,
    )
    return held, token.expires_at


def revoke_host_tokens(host_id: UUID) -> None:
    """Shut the present generation of a host out for good: its tokens end with the transaction, and it cannot join again (H5).

    The next generation, a VM made anew, may. Call it in the entered organization.
    """
    host = Host.objects.select_for_update().get(id=host_id, org_id=tenancy.current_org())
    HostToken.objects.filter(host=host).delete()
    HostVoice.objects.update_or_create(host=host, defaults={"barred_generation": host.generation})
    # A poll that waits is answered 401 at once.
    queue.wake(host_id)


def digest(held: str) -> str:
    """SHA-256 in hex: enough for a value of 256 random bits."""
    return hashlib.sha256(held.encode(errors="replace")).hexdigest()


def _works(token: HostToken) -> bool:
    host = token.host
    return (
        token.expires_at > timezone.now()
        and token.generation == host.generation
        and host.wanted != Power.ENDED
    )
