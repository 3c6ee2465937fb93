"""One KMS key for each organization, made when it is first needed and found again whatever died in between."""

import time
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from envforge import tenancy
from envforge.errors import Unavailable
from secrets_ref import ssm
from secrets_ref.models import Store
from secrets_ref.troubles import StoreRefused

LEASE = timedelta(seconds=60)
WAIT_S = 10.0
STEP_S = 0.1
BUSY = "The key for this organization's secrets is being made. Try again in a minute."


def lock_store() -> Store:
    """The entered organization's row, locked; made when there is none."""
    store, _ = Store.objects.select_for_update().get_or_create(
        org_id=tenancy.current_org(), defaults={"due_at": timezone.now()}
    )
    return store


def ensure_key(org_id: UUID) -> str:
    """The ARN of the organization's key; makes it where there is none.

    Died between making and naming it, somebody leaves a key without a name; the next one looks for it first.

    Raises:
        StoreRefused: KMS refuses or does not answer.
        Unavailable: somebody else is making it, and takes long.
    """
    ends_at = time.monotonic() + WAIT_S
    while True:
        with tenancy.enter(org_id):
            store = lock_store()
            if store.key_arn:
                return store.key_arn
            now = timezone.now()
            busy = store.key_leased_until is not None and store.key_leased_until > now
            if not busy:
                tried_before = store.key_wanted_at is not None
                store.key_wanted_at = store.key_wanted_at or now
                store.key_leased_until = now + LEASE
                store.save(update_fields=["key_wanted_at", "key_leased_until"])
        if not busy:
            break
        if time.monotonic() > ends_at:
            raise Unavailable(BUSY)
        time.sleep(STEP_S)
    try:
        key = _find_or_make(org_id, tried_before=tried_before)
    except StoreRefused:
        with tenancy.enter(org_id):
            Store.objects.filter(org_id=org_id).update(key_leased_until=None)
        raise
    with tenancy.enter(org_id):
        Store.objects.filter(org_id=org_id).update(
            key_arn=key, key_observed_at=timezone.now(), key_leased_until=None
        )
    return key


def _find_or_make(org_id: UUID, *, tried_before: bool) -> str:
    found = ssm.find_key(org_id)
    if found is not None:
        return found
    unnamed = ssm.find_unnamed_key(org_id) if tried_before else None
    return ssm.name_key(org_id, unnamed or ssm.make_key(org_id))
