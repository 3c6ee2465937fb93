"""Reading an organization's VMs and who was on them, for those who may: in the product's words, with no name of a cloud's (W4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from tempfile import TemporaryFile
from typing import BinaryIO
from uuid import UUID

from django.db.models import Prefetch

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import Actor
from envforge.cursors import Place
from hosts import history
from hosts.history import ALWAYS, Form, Period
from hosts.models import Host, Observed, Placement, PlacementPolicy, Power
from hosts.placement import is_ready
from hosts.words import says
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer
from orgs.selectors import visible

PAGE_SIZE = 50
MOST_HOSTS = 200


@dataclass(frozen=True, slots=True)
class Tenant:
    """A workspace on a VM; `awake` or asleep there."""

    workspace_id: UUID
    label: str
    awake: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class HostView:
    """A VM as people see it; `state` is a word of ours: ready, starting, waiting, stopping, asleep, ended."""

    id: UUID
    name: str
    role: str
    size: str
    state: str
    since: datetime
    trouble: str
    image: str
    alone: bool
    generation: int
    workspaces: list[Tenant]


@dataclass(frozen=True, slots=True)
class Stay:
    """One workspace on one VM, from and until."""

    id: UUID
    vm: UUID
    vm_name: str
    role: str
    size: str
    generation: int
    workspace: UUID
    workspace_name: str
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Hosts:
    """The organization's VMs, and what the actor may do about them."""

    organization: Organization
    hosts: list[HostView]
    vm_per_workspace: bool
    dedicate: Answer
    export: Answer


@dataclass(frozen=True, slots=True)
class History:
    """A page of the placement history, the newest first; `older` is where the next one begins."""

    organization: Organization
    stays: list[Stay]
    older: Place | None


@dataclass(frozen=True, slots=True)
class Made:
    """A whole export, at its beginning; whoever has it closes the file."""

    file: BinaryIO
    placements: int


def hosts(*, actor: Actor, slug: str) -> Hosts:
    """The organization's VMs that have not ended, and who is on them.

    Raises:
        NotVisible: there is no such organization, or the actor is no member of it.
        NotAllowed: the actor may not see placement.
    """
    with visible(actor, slug, Action.HOST_DEDICATE, Action.PLACEMENT_EXPORT) as (found, answers):
        policy.require(actor, Action.PLACEMENT_VIEW, found)
        there = Placement.objects.select_related("slot").filter(ended_at=None).order_by("began_at")
        rows = (
            Host.objects.exclude(observed=Observed.ENDED)
            .order_by("role", "number")
            .prefetch_related(Prefetch("placements", queryset=there, to_attr="present"))
        )
        return Hosts(
            found,
            [_view(host) for host in rows[:MOST_HOSTS]],
            PlacementPolicy.objects.filter(vm_per_workspace=True).exists(),
            answers[Action.HOST_DEDICATE],
            answers[Action.PLACEMENT_EXPORT],
        )


def placements(
    *, actor: Actor, slug: str, period: Period = ALWAYS, before: Place | None = None, size: int = PAGE_SIZE
) -> History:
    """A page of the history; errors as `hosts`."""
    with visible(actor, slug) as (found, _):
        policy.require(actor, Action.PLACEMENT_VIEW, found)
        rows = history.placements(period)
        if before is not None:
            at, after_id = before
            rows = rows.extra(where=["(hosts_placement.began_at, hosts_placement.id) < (%s, %s)"], params=[at, after_id])
        stays = [_stay(one) for one in rows[: size + 1]]
        more = len(stays) > size
        shown = stays[:size]
        return History(found, shown, (shown[-1].began_at, shown[-1].id) if more else None)


def export_placements(*, actor: Actor, slug: str, form: Form, period: Period = ALWAYS) -> Made:
    """The whole history of a period, in a file that vanishes when it is closed. That it was exported is on record before
    the caller has any of it (A3).

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    file = TemporaryFile("w+b")  # noqa: SIM115 - it is the caller's to close
    try:
        with visible(actor, slug) as (found, _):
            policy.require(actor, Action.PLACEMENT_EXPORT, found)
            count = 0

            def counted() -> Iterator[dict[str, object]]:
                nonlocal count
                for row in history.export_lines(found.id, period):
                    count += 1
                    yield row

            for line in history.written(counted(), form):
                file.write(line)
            append(
                EventKind.PLACEMENT_EXPORTED, actor=actor, target=found, form=form.value, placements=count
            )
        file.seek(0)
        return Made(file, count)
    except BaseException:
        file.close()
        raise


def _view(host: Host) -> HostView:
    present: list[Placement] = host.present  # type: ignore[attr-defined]  # prefetched
    state = _state(host)
    return HostView(
        id=host.id,
        name=host.name,
        role=host.role,
        size=host.size,
        state=state,
        since=(host.joined_at if state == "ready" else None) or max(host.observed_at, host.wanted_at),
        trouble=says(host.trouble),
        image=host.image,
        alone=host.dedicated_to is not None,
        generation=host.generation,
        workspaces=[
            Tenant(one.slot.workspace_id, one.slot.workspace_label, one.slot.active, one.began_at)
            for one in present
        ],
    )


def _state(host: Host) -> str:
    if host.wanted == Power.RUNNING:
        if is_ready(host):
            return "ready"
        return "waiting" if host.trouble else "starting"
    if host.observed in {Observed.STOPPED, Observed.ABSENT} and host.wanted == Power.STOPPED:
        return "asleep"
    return "stopping"


def _stay(one: Placement) -> Stay:
    return Stay(
        one.id,
        one.host_id,
        one.host.name,
        one.host.role,
        one.host.size,
        one.generation,
        one.slot.workspace_id,
        one.slot.workspace_label,
        one.began_at,
        one.ended_at,
    )
