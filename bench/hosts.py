"""The sweep over VMs: EC2's pages against our rows, with 100 changed among ten and a hundred thousand.

"Own time" is everything but the waiting for EC2: the pages are here already, as botocore reads them. It holds the comparison,
the marking of what is due, and the look-up of due hosts. Beside it, in the same run, the limit: a bare loop that only touches
each instance of the pages once, and one SELECT by primary key.
"""

import gc
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bench import _django
from bench._figures import Figures, ms, p50, quick

# isort: split
from django.utils import timezone

from envforge import tenancy
from envforge.actor import SYSTEM
from hosts import ec2
from hosts.fleet import Comparison, Page
from hosts.lookups import hosts_due
from hosts.models import Host, HostRole, Observed, Power, Size
from orgs import operations

CHANGED = 100
ORGANIZATIONS = 50
ROUNDS = 9
GOAL_MS = 200.0
FLAT = 4.0
PAGE = 1000
LAUNCHED = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> int:
    small, large = (200, 2_000) if quick() else (10_000, 100_000)
    _django.migrate()
    figures = Figures(f"Sweep over VMs, {CHANGED} of them changed")
    orgs = organizations()
    times: dict[int, list[float]] = {}
    for number in (small, large):
        pages = grow_to(orgs, number)
        # A sweep holds a page at a time; that all of them lie here is the bench's doing, and no work for its collector.
        gc.collect()
        gc.freeze()
        comparison = Comparison()
        first = timed(lambda comparison=comparison, pages=pages: comparison.run(pages))  # type: ignore[misc]
        figures.tell(f"first sweep of a process, {number:,} VMs", f"{first:.2f} s")
        times[number] = [sweep(comparison, pages) for _ in range(ROUNDS)]
        bare = [timed(lambda pages=pages: touch(pages)) for _ in range(ROUNDS)]  # type: ignore[misc]
        figures.tell(f"limit: touching each of {number:,} once", ms(bare))
        figures.tell(f"sweep, {number:,} VMs", ms(times[number]))
    figures.tell("limit: one SELECT by key", ms([timed(lambda: select_one(orgs[0])) for _ in range(ROUNDS)]))
    figures.at_most(f"own time, {large:,} VMs", p50(times[large]) * 1000, GOAL_MS, " ms")
    figures.at_most("ten times the quiet ones", p50(times[large]) / p50(times[small]), FLAT)
    return figures.finish()


def organizations() -> list[UUID]:
    """Organizations whose VMs these are."""
    owner = operations.remember_person(
        issuer="https://issuer.bench/",
        subject="owner",
        email="o@bench.test",
        email_verified=True,
        name="Owner",
    )
    made = []
    for number in range(ORGANIZATIONS):
        organization = operations.create_organization(
            actor=SYSTEM, slug=f"bench-{number}", name=f"Bench {number}", owner=owner
        )
        made.append(organization.id)
    return made


def grow_to(orgs: list[UUID], number: int) -> list[Page]:
    """That many running VMs in all, and EC2's pages of them."""
    now = timezone.now()
    with _django.superuser() as admin:
        begun: int = admin.execute("SELECT count(*) FROM hosts_host").fetchone()[0]  # type: ignore[index]
        _django.load(
            admin,
            Host,
            (
                Host(
                    org_id=orgs[index % len(orgs)],
                    number=index,
                    instance_id=f"i-{index:017x}",
                    role=HostRole.RUNTIME,
                    size=Size.SMALL,
                    wanted=Power.RUNNING,
                    wanted_at=now,
                    observed=Observed.RUNNING,
                    observed_at=now,
                    zone="eu-central-1a",
                    image="1",
                )
                for index in range(begun, number)
            ),
        )
        admin.execute("ANALYZE hosts_host")
        every = admin.execute("SELECT id, org_id, instance_id FROM hosts_host").fetchall()
    instances = [as_ec2_says(*row) for row in every]
    return [instances[start : start + PAGE] for start in range(0, len(instances), PAGE)]


def as_ec2_says(host: UUID, org: UUID, instance_id: str) -> dict[str, Any]:
    tags = {ec2.ORG_TAG: org, ec2.HOST_TAG: host, ec2.GENERATION_TAG: 1, ec2.ROLE_TAG: "runtime"}
    return {
        "InstanceId": instance_id,
        "State": {"Name": "running"},
        "Tags": [{"Key": key, "Value": str(value)} for key, value in tags.items()],
        "Placement": {"AvailabilityZone": "eu-central-1a"},
        "PrivateIpAddress": "10.0.0.1",
        "LaunchTime": LAUNCHED,
    }


def sweep(comparison: Comparison, pages: list[Page]) -> float:
    """Stop some VMs behind our back, sweep, and put everything back as it was; how long the sweep took."""
    changed = random.sample([one for page in pages for one in page], CHANGED)
    for one in changed:
        one["State"] = {"Name": "stopped"}

    def once() -> None:
        told = comparison.run(pages)
        assert told.differing == CHANGED
        assert len(hosts_due(timezone.now(), 1000)) == CHANGED

    taken = timed(once)
    for one in changed:
        one["State"] = {"Name": "running"}
    with _django.superuser() as admin:
        admin.execute("UPDATE hosts_host SET due_at = NULL WHERE due_at IS NOT NULL")
    comparison.run(pages)
    return taken


def touch(pages: list[Page]) -> int:
    return sum(1 for page in pages for one in page if one["State"]["Name"] == one["InstanceId"])


def select_one(org: UUID) -> None:
    with tenancy.enter(org):
        Host.objects.values_list("id").first()


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main())
