"""EC2's instances against our rows, for all organizations at once: what differs becomes due, whatever nobody owns is listed.

Reading the pages takes as long as AWS takes. Of our own time each instance costs one look into a map of what this process
found settled; only what is new there or has another state is compared with its row. Now and then, and first of all, the
map is set aside and all is compared, so that a wrong map mends itself.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.utils import timezone

from audit.append import append_platform
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM, Target
from hosts import ebs, ec2
from hosts.adrift import VOLUME_PREFIX
from hosts.ec2 import Seen
from hosts.lookups import organizations_with_hosts
from hosts.models import Host, Observed, Orphan
from hosts.reconcile import note_impaired
from hosts.vendor import VendorError

ALL_EVERY_S = 900
_DEAD = frozenset({Observed.ENDING, Observed.ENDED})
_LIVE = [Observed.PENDING, Observed.RUNNING, Observed.STOPPING, Observed.STOPPED, Observed.ENDING]

log = structlog.get_logger(__name__)

Page = list[dict[str, Any]]


@dataclass(slots=True)
class Compared:
    """What a comparison came to, in numbers of instances."""

    instances: int = 0
    differing: int = 0
    vanished: int = 0
    orphans: int = 0


@dataclass(slots=True)
class Comparison:
    """The comparing of one process; `settled` is EC2's word for the state of each instance whose row says the same."""

    settled: dict[str, str] = field(default_factory=dict)
    all_at: float = 0.0
    orphans: frozenset[str] | None = None

    def run(self, pages: Iterable[Page], impaired: frozenset[str] = frozenset()) -> Compared:
        """Compare the pages with the rows."""
        everything = time.monotonic() >= self.all_at
        if everything:
            self.settled = {}
        known = len(self.settled)
        settled_state, told, matched = self.settled.get, Compared(), 0
        candidates: Page = []
        ids: list[list[str]] = []
        for page in pages:
            # Lists are compared faster than any loop looks: a page on which nothing changed is passed by at once.
            listed = [one["InstanceId"] for one in page]
            words = [one["State"]["Name"] for one in page]
            before = list(map(settled_state, listed))
            ids.append(listed)
            new = (
                [one for one, was, word in zip(page, before, words, strict=True) if was != word]
                if before != words
                else []
            )
            candidates += new
            matched += len(page) - len(new)
            told.instances += len(page)
            if impaired:
                self._note_impaired([one for one in page if one["InstanceId"] in impaired])
        changed = [self.settled.pop(one["InstanceId"], "") for one in candidates]
        orphans = self._compare([ec2.read(one) for one in candidates], told)
        if everything or matched + sum(map(bool, changed)) < known:
            told.vanished = self._find_vanished(frozenset(chain.from_iterable(ids)), everything=everything)
        self._report(orphans)
        told.orphans = len(orphans)
        if everything:
            self.all_at = time.monotonic() + ALL_EVERY_S
        return told

    def _compare(self, candidates: list[Seen], told: Compared) -> list[Seen]:
        """Make due what differs from its row, settle what does not; answers those without a row."""
        by_org: dict[UUID, list[Seen]] = defaultdict(list)
        orphans = []
        for seen in candidates:
            org_id = _uuid(seen.org_id)
            if org_id is None or _uuid(seen.host_id) is None:
                orphans.append(seen)
            else:
                by_org[org_id].append(seen)
        for org_id, ours in by_org.items():
            with tenancy.enter(org_id):
                rows = _rows(ours)
                differing = []
                for seen in ours:
                    row = rows.get(seen.host_id)
                    if row is not None and row.instance_id == seen.instance_id:
                        if row.observed == seen.state:
                            self.settled[seen.instance_id] = _WORD[seen.state]
                        else:
                            differing.append(row.id)
                    elif seen.state in _DEAD:
                        # Of an earlier generation, or ended by whoever found it.
                        self.settled[seen.instance_id] = _WORD[seen.state]
                    elif row is not None and not row.instance_id and row.observed != Observed.ENDED:
                        # Made, and not recorded yet: the host's own step finds it by its tag.
                        differing.append(row.id)
                    else:
                        orphans.append(seen)
                make_due(differing)
            told.differing += len(differing)
        return [one for one in orphans if one.state not in _DEAD]

    def _find_vanished(self, ids: frozenset[str], *, everything: bool) -> int:
        """Make due the hosts whose instances EC2 does not list any more."""
        lost = self.settled.keys() - ids
        words = {self.settled.pop(instance_id) for instance_id in lost}
        # EC2 forgets what was terminated after an hour.
        if not everything and words <= {"terminated"}:
            return 0
        found = 0
        for org_id in organizations_with_hosts():
            with tenancy.enter(org_id):
                rows = (
                    Host.objects.filter(observed__in=_LIVE)
                    .exclude(instance_id="")
                    .exclude(ended_at__isnull=False)
                )
                vanished = [pk for pk, name in rows.values_list("id", "instance_id") if name not in ids]
                make_due(vanished)
            found += len(vanished)
        return found

    def _note_impaired(self, page: Page) -> None:
        for seen in map(ec2.read, page):
            org_id, host_id = _uuid(seen.org_id), _uuid(seen.host_id)
            if org_id and host_id:
                note_impaired(org_id, host_id, seen.instance_id)

    def _report(self, orphans: list[Seen]) -> None:
        """List for support what nobody owns, as far as it changed since this process last looked."""
        ids = frozenset(one.instance_id for one in orphans)
        if ids == self.orphans:
            return
        now = timezone.now()
        with transaction.atomic():
            Orphan.objects.exclude(instance_id__in=ids).exclude(
                instance_id__startswith=VOLUME_PREFIX
            ).delete()
            for one in orphans:
                values = {"state": one.state, "tagged_org": one.org_id, "tagged_host": one.host_id}
                begun = {**values, "launched_at": one.launched_at, "found_at": now}
                Orphan.objects.update_or_create(
                    instance_id=one.instance_id, defaults=values, create_defaults=begun
                )
        for instance_id in ids - (self.orphans or frozenset()):
            log.warning("fleet.orphan", instance=instance_id)
        self.orphans = ids


_comparison = Comparison()
_WORD = {state: word for word, state in ec2.STATES.items()}


def compare() -> Compared:
    """Compare all of EC2's instances with our rows, once; where EC2 does not answer, the next sweep does it."""
    try:
        return _comparison.run(ec2.pages(), frozenset(ec2.impaired()))
    except VendorError as failed:
        log.warning("fleet.put_off", trouble=failed.trouble, code=failed.code)
        # Half of the pages were read: what they settled holds, what is missing was not.
        _comparison.all_at = 0.0
        return Compared()


def look_at_all() -> Compared:
    """Compare everything once, as an operator who asks does.

    Raises:
        VendorError: EC2 did not answer.
    """
    return Comparison().run(ec2.pages())


def end_orphan(instance_id: str) -> None:
    """End an instance, or delete a volume, that the last comparison found to be nobody's; an operator's decision, recorded for EnvForge itself.

    Raises:
        Orphan.DoesNotExist: it is somebody's, or gone.
        VendorError: EC2 did not do it.
    """
    orphan = Orphan.objects.get(instance_id=instance_id)
    if instance_id.startswith(VOLUME_PREFIX):
        ebs.delete(instance_id)
    else:
        ec2.end(instance_id)
    with transaction.atomic():
        kind = "volume" if instance_id.startswith(VOLUME_PREFIX) else "instance"
        target = Target(kind, instance_id, instance_id)
        append_platform(
            EventKind.HOST_ORPHAN_ENDED, actor=SYSTEM, target=target, launched_at=orphan.launched_at
        )
        orphan.delete()


def make_due(host_ids: list[UUID]) -> None:
    """Let a reconciler look at hosts of the entered organization. A mark that is lost is made again by the next sweep."""
    if not host_ids:
        return
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
    soon = timezone.now() + timedelta(seconds=1)
    Host.objects.filter(id__in=host_ids).exclude(due_at__lte=soon).update(due_at=timezone.now())


def _rows(ours: list[Seen]) -> Mapping[str, Host]:
    wanted = {seen.host_id for seen in ours}
    rows = Host.objects.filter(id__in=wanted).only("id", "instance_id", "observed")
    return {str(row.id): row for row in rows}


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
