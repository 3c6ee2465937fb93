"""Comparing an organization's secrets with the store: what was changed outside, and what somebody who died left half done.

Costs one request for each 50 parameters of an organization, four for each role in its own account, and a transaction for each secret that differs. Safe to run
twice, at any time, in two workers.
"""

import time
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM
from secrets_ref import customer_roles, ssm, writes
from secrets_ref.lookups import organizations_with_due_secrets
from secrets_ref.models import Cause, CustomerRole, Drift, Outcome, Secret, SecretVersion, Store, Wanted
from secrets_ref.ssm import Described
from secrets_ref.troubles import StoreRefused, Trouble

EVERY = timedelta(hours=1)
AFTER_TROUBLE = timedelta(minutes=5)
MOST_ORGANIZATIONS = 50
SWEEP_S = 40
# Between our clock and the store's, and for a request that arrives after its sender gave up.
SLACK = timedelta(seconds=60)
# The store keeps the last hundred; what is older cannot be told apart any more.
MOST_VERSIONS = 100
OUTSIDE = "somebody outside of EnvForge"

# By the role through which it was seen, None for our own account, and its path.
Seen = dict[tuple[UUID | None, str], Described]

log = structlog.get_logger(__name__)


def sweep() -> int:
    """Compare each organization that is due, as far as the time allows; answers how many differences were recorded."""
    ends_at = time.monotonic() + SWEEP_S
    found = 0
    for org_id in organizations_with_due_secrets(MOST_ORGANIZATIONS):
        if time.monotonic() > ends_at:
            break
        try:
            found += compare(org_id)
        except Exception:
            # One organization that cannot be compared must not keep the others; it is due again, later.
            log.exception("secrets.compare_failed", org=str(org_id))
    return found


def compare(org_id: UUID) -> int:
    """Compare one organization's secrets with the store, if it is due; answers how many differences were recorded."""
    began = timezone.now()
    with tenancy.enter(org_id):
        store = Store.objects.select_for_update(skip_locked=True).filter(due_at__lte=began).first()
        if store is None:
            return 0
        store.due_at = began + AFTER_TROUBLE
        store.save(update_fields=["due_at"])
        through = _through_roles()
    try:
        ended = _end_deletions(org_id)
        seen: Seen = {(None, one.path): one for page in ssm.describe_all(org_id) for one in page}
    except StoreRefused as refused:
        log.warning("secrets.store_refused", org=str(org_id), trouble=refused.trouble.value)
        return 0
    differing = _differing(org_id, seen, _look_through(through, seen))
    later = False
    for secret_id in differing:
        with tenancy.enter(org_id):
            later |= not _settle(secret_id, seen, began)
    with tenancy.enter(org_id):
        # A write that began meanwhile may have asked for an earlier comparison.
        due = timezone.now() + (writes.SOON if later else EVERY)
        Store.objects.filter(due_at=began + AFTER_TROUBLE).update(due_at=due)
        Store.objects.update(compared_at=began)
    return ended + len(differing)


def _end_deletions(org_id: UUID) -> int:
    """Delete what is wanted to be gone and is not recorded as gone."""
    with tenancy.enter(org_id):
        rows = list(Secret.objects.filter(wanted=Wanted.ABSENT, deleted_at=None).values_list("id", "path"))
    for secret_id, path in rows:
        ssm.delete(path)
        writes.gone(org_id, secret_id)
    return len(rows)


def _through_roles() -> dict[CustomerRole, list[str]]:
    """The paths in the customer's accounts that secrets of the entered organization lie at."""
    through: dict[CustomerRole, list[str]] = {}
    rows = Secret.objects.filter(deleted_at=None, role__isnull=False).select_related("role")
    for row in rows.order_by("role_id", "path"):
        if row.role is not None:
            through.setdefault(row.role, []).append(row.path)
    return through


def _look_through(through: dict[CustomerRole, list[str]], seen: Seen) -> set[UUID | None]:
    """Add what lies in the customer's accounts; answers the stores that were seen whole, None for our own.

    A role that lets nobody in, or by now everybody, is noted, and its secrets are neither changed nor gone for that.
    """
    whole: set[UUID | None] = {None}
    for role, paths in through.items():
        try:
            seen.update({(role.id, one.path): one for one in customer_roles.describe(role, paths)})
        except StoreRefused as refused:
            log.warning("secrets.role_refused", org=str(role.org_id), trouble=refused.trouble.value)
            if refused.trouble is Trouble.DENIED and not role.trouble:
                _note_role(role, "denied")
        else:
            whole.add(role.id)
            _look_whether_it_holds(role)
    return whole


def _look_whether_it_holds(role: CustomerRole) -> None:
    """Customers change trust policies without telling us: one that lets in whoever comes is read through no more (K1).

    Where nobody can tell now, nothing changes; what an admin was told on checking stays until the role holds.
    """
    try:
        trouble = customer_roles.what_is_wrong(role)
    except StoreRefused as refused:
        log.warning("secrets.role_not_checked", org=str(role.org_id), trouble=refused.trouble.value)
        return
    if trouble != role.trouble and role.trouble != "unchecked":
        _note_role(role, trouble)


def _note_role(role: CustomerRole, trouble: str) -> None:
    with tenancy.enter(role.org_id):
        if CustomerRole.objects.filter(id=role.id, trouble=role.trouble).update(trouble=trouble):
            append(EventKind.CUSTOMER_ROLE_CHECKED, actor=SYSTEM, target=role, result=trouble or "holds")


def _differing(org_id: UUID, seen: Seen, whole: set[UUID | None]) -> list[UUID]:
    with tenancy.enter(org_id):
        asked = set(SecretVersion.objects.filter(outcome=Outcome.ASKED).values_list("secret_id", flat=True))
        rows = Secret.objects.filter(deleted_at=None, wanted=Wanted.PRESENT)
        return [
            secret.id
            for secret in rows
            if secret.role_id in whole
            and (secret.id in asked or _differs(secret, seen.get((secret.role_id, secret.path))))
        ]


def _differs(secret: Secret, seen: Described | None) -> bool:
    if seen is None:
        return secret.version is not None and secret.drift != Drift.DELETED
    return (
        secret.drift == Drift.DELETED
        or (secret.version, secret.settled_version) != (seen.version, seen.version)
        or secret.modified_at != seen.modified_at
    )


def _settle(secret_id: UUID, seen: Seen, began: datetime) -> bool:
    """Record what the store shows of one secret; False if it is being changed just now, and is to be looked at again."""
    secret = Secret.objects.select_for_update().filter(id=secret_id).first()
    if secret is None or secret.wanted != Wanted.PRESENT:
        return True
    asked = list(secret.versions.filter(outcome=Outcome.ASKED).order_by("asked_at", "id"))
    recorded_since = secret.versions.filter(observed_at__gte=began).exists()
    if recorded_since or any(one.leased_until > began for one in asked):
        return False
    found = seen.get((secret.role_id, secret.path))
    if found is None:
        _missing(secret)
    else:
        asked = _found(secret, found, asked)
    for one in asked:
        one.outcome = Outcome.LOST
        one.save(update_fields=["outcome"])
    return True


def _missing(secret: Secret) -> None:
    if secret.version is not None and secret.drift != Drift.DELETED:
        secret.drift, secret.drifted_at = Drift.DELETED, timezone.now()
        secret.save()
        append(EventKind.SECRET_DRIFTED, actor=SYSTEM, target=secret, change=Drift.DELETED.value)


def _found(secret: Secret, found: Described, asked: list[SecretVersion]) -> list[SecretVersion]:
    """Say of each version that nobody recorded whose it is; answers the writes that never arrived."""
    if _began_anew(secret, found):
        writes.begin_anew(secret)
    known = secret.versions.filter(generation=secret.generation, outcome=Outcome.WRITTEN)
    recorded = set(known.values_list("version", flat=True))
    first = max(secret.settled_version, found.version - MOST_VERSIONS) + 1
    outside = []
    # Earlier attempts of writes that were repeated: a version each may have left, and that has no row of its own.
    lately = known.filter(version__gt=secret.settled_version, attempts__gt=1)
    repeated = sum(attempts - 1 for attempts in lately.values_list("attempts", flat=True))
    for version in (one for one in range(first, found.version + 1) if one not in recorded):
        write = next((one for one in asked if version != found.version or _made_then(one, found)), None)
        if write is None and repeated and version != found.version:
            repeated -= 1
            continue
        if write is None:
            outside.append(version)
            continue
        asked.remove(write)
        writes.record(secret, write, version)
    if outside:
        _changed_outside(secret, found, is_newest=outside[-1] == found.version)
    secret.settled_version, secret.modified_at = found.version, found.modified_at
    secret.save()
    return asked


def _began_anew(secret: Secret, found: Described) -> bool:
    if secret.version is None:
        return False
    same = found.version == secret.version == secret.settled_version
    return (
        secret.drift == Drift.DELETED
        or found.version < secret.version
        or (same and secret.modified_at is not None and found.modified_at != secret.modified_at)
    )


def _made_then(write: SecretVersion, found: Described) -> bool:
    return write.asked_at - SLACK <= found.modified_at <= write.leased_until + SLACK


def _changed_outside(secret: Secret, found: Described, *, is_newest: bool) -> None:
    now = timezone.now()
    if is_newest:
        SecretVersion.objects.create(
            secret=secret,
            generation=secret.generation,
            version=found.version,
            cause=Cause.OUTSIDE,
            outcome=Outcome.WRITTEN,
            asked_at=found.modified_at,
            asked_by_kind="outside",
            asked_by_id="",
            asked_by=OUTSIDE,
            leased_until=found.modified_at,
            observed_at=now,
        )
        secret.version = found.version
        secret.drift, secret.drifted_at = Drift.CHANGED, now
        secret.changed_by, secret.changed_at = OUTSIDE, found.modified_at
    append(EventKind.SECRET_DRIFTED, actor=SYSTEM, target=secret, change=Drift.CHANGED.value)
