"""The two ends of a write: what is noted before the value goes to the store, and what is recorded once it is there.

The row comes first, so that a version whose writer died in between is known to be theirs: the comparison with the store
(`reconcile`) finishes it, with the event that names who asked. Each function opens a transaction of its own, or joins one.
"""

import time
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict
from secrets_ref.keys import lock_store
from secrets_ref.models import Cause, Drift, Outcome, Secret, SecretVersion, Wanted, remembered, written_by
from secrets_ref.troubles import Trouble

# Longer than the SDK's attempts at a write take together.
LEASE = timedelta(seconds=120)
# When the store is compared after a write that may not have ended well.
SOON = LEASE + timedelta(seconds=30)
WAIT_S = 10.0
STEP_S = 0.1
EVENT_OF = {Cause.SET: EventKind.SECRET_SET, Cause.ROTATED: EventKind.SECRET_ROTATED}


class Step(Enum):
    """What is to be done about a write that was asked for."""

    WRITE = auto()
    DONE = auto()
    ELSEWHERE = auto()


@dataclass(frozen=True, slots=True)
class Begun:
    """A write, noted; `again` if the same was tried before."""

    step: Step
    secret_id: UUID
    write_id: UUID
    path: str
    exists: bool
    again: bool


def begin(secret: Secret, *, actor: Actor, write_id: UUID) -> Begun:
    """Note, in the caller's transaction and with the secret locked, that a value is on its way.

    Raises:
        Conflict: the same key was used for another secret, or the first value is on its way by somebody else.
    """
    now = timezone.now()
    exists = secret.version is not None and secret.drift != Drift.DELETED
    known = SecretVersion.objects.filter(id=write_id).first()
    if known is not None and known.secret_id != secret.id:
        raise Conflict("This Idempotency-Key was used for another secret. Use one key for one request.")
    if known is not None and known.outcome == Outcome.WRITTEN:
        return Begun(Step.DONE, secret.id, write_id, secret.path, exists, again=True)
    if known is not None and known.outcome == Outcome.ASKED and known.leased_until > now:
        return Begun(Step.ELSEWHERE, secret.id, write_id, secret.path, exists, again=True)
    earlier = SecretVersion.objects.filter(secret=secret, outcome__in=[Outcome.ASKED, Outcome.LOST])
    again = earlier.exists()
    if secret.version is None and earlier.filter(outcome=Outcome.ASKED, leased_until__gt=now).exists():
        raise Conflict(
            f"The first value of {secret.name} is just being stored by somebody else. Reload the page."
        )
    cause = Cause.SET if secret.version is None else Cause.ROTATED
    SecretVersion.objects.update_or_create(
        id=write_id,
        defaults={
            "secret": secret,
            "cause": cause,
            "outcome": Outcome.ASKED,
            "attempts": known.attempts + 1 if known else 1,
            "trouble": "",
            "asked_at": now,
            "leased_until": now + LEASE,
            **written_by(actor, "asked_by"),
        },
    )
    compare_soon()
    return Begun(Step.WRITE, secret.id, write_id, secret.path, exists, again=again)


def wait_for(org_id: UUID, write_id: UUID) -> None:
    """Wait until another process ends this write, some seconds at most."""
    ends_at = time.monotonic() + WAIT_S
    while time.monotonic() < ends_at:
        with tenancy.enter(org_id):
            if not SecretVersion.objects.filter(id=write_id, outcome=Outcome.ASKED).exists():
                return
        time.sleep(STEP_S)
    raise Conflict("The same change is on its way already. Reload the page to see what came of it.")


def finish(org_id: UUID, write_id: UUID, version: int) -> bool:
    """Record that the value is in the store, with its event; again, it changes nothing.

    Returns:
        False if the secret was deleted meanwhile: the value is to be removed again.
    """
    with tenancy.enter(org_id):
        secret_id = SecretVersion.objects.values_list("secret_id", flat=True).get(id=write_id)
        secret = Secret.objects.select_for_update().get(id=secret_id)
        write = SecretVersion.objects.select_for_update().get(id=write_id)
        if secret.wanted == Wanted.ABSENT:
            return False
        if write.outcome != Outcome.WRITTEN:
            if version <= secret.settled_version or _known(secret, version):
                begin_anew(secret)
            record(secret, write, version)
        return True


def record(secret: Secret, write: SecretVersion, version: int) -> None:
    """Record a version as this write's, in the caller's transaction, with the secret locked."""
    now = timezone.now()
    write.generation, write.version = secret.generation, version
    write.outcome, write.observed_at = Outcome.WRITTEN, now
    write.save(update_fields=["generation", "version", "outcome", "observed_at"])
    if version >= (secret.version or 0):
        secret.version, secret.modified_at = version, None
        secret.drift, secret.drifted_at = Drift.NONE, None
        secret.changed_by, secret.changed_at = write.asked_by, now
        secret.save()
    actor = remembered(secret.org_id, write.asked_by_kind, write.asked_by_id, write.asked_by)
    append(EVENT_OF[Cause(write.cause)], actor=actor, target=secret, version=version)


def begin_anew(secret: Secret) -> None:
    """The parameter was deleted and made again: its versions count from 1."""
    secret.generation += 1
    secret.version, secret.settled_version, secret.modified_at = None, 0, None
    secret.save()


def refuse(org_id: UUID, write_id: UUID, trouble: Trouble) -> None:
    """Record that nothing was stored; a secret that never had a value goes with its write."""
    with tenancy.enter(org_id):
        write = SecretVersion.objects.filter(id=write_id, outcome=Outcome.ASKED).first()
        if write is None:
            return
        secret = Secret.objects.select_for_update().get(id=write.secret_id)
        others = SecretVersion.objects.filter(secret=secret).exclude(id=write_id)
        if secret.version is None and not others.exclude(outcome=Outcome.REFUSED).exists():
            SecretVersion.objects.filter(secret=secret).delete()
            secret.delete()
            return
        SecretVersion.objects.filter(id=write_id).update(outcome=Outcome.REFUSED, trouble=trouble)


def leave(org_id: UUID, write_id: UUID) -> None:
    """Give up a write of which nobody knows what came; the comparison with the store finds out, or the next attempt."""
    with tenancy.enter(org_id):
        SecretVersion.objects.filter(id=write_id, outcome=Outcome.ASKED).update(leased_until=timezone.now())


def gone(org_id: UUID, secret_id: UUID) -> None:
    """Record that a secret is gone from the store, as was wanted; again, it changes nothing."""
    with tenancy.enter(org_id):
        secret = Secret.objects.select_for_update().get(id=secret_id)
        if secret.deleted_at is not None or secret.wanted != Wanted.ABSENT:
            return
        secret.deleted_at = timezone.now()
        secret.save(update_fields=["deleted_at"])
        actor = remembered(org_id, secret.wanted_by_kind, secret.wanted_by_id, secret.wanted_by)
        append(EventKind.SECRET_DELETED, actor=actor, target=secret)


def compare_soon() -> None:
    """Have the entered organization compared with the store shortly after this write should have ended."""
    store = lock_store()
    soon = timezone.now() + SOON
    if store.due_at > soon:
        store.due_at = soon
        store.save(update_fields=["due_at"])


def _known(secret: Secret, version: int) -> bool:
    return SecretVersion.objects.filter(secret=secret, generation=secret.generation, version=version).exists()
