"""Reads of an organization's VMs and of who was where, in product words: no address, zone or id of a cloud's (V2, W4)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import Count, F, Q

from envforge.actor import Actor
from envforge.cursors import Place
from hosts import walls, words
from hosts.history import ALWAYS, Period
from hosts.history import placements as placed
from hosts.models import Host, HostVoice, Mend, Observed, Placement, PlacementPolicy, Power
from hosts.placement import is_ready
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer
from orgs.selectors import visible

PAGE_SIZE = 50


class State(StrEnum):
    """How a VM stands, of what is wanted and what was observed."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    RESTARTING = "restarting"
    REPLACING = "replacing"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class HostView:
    """A VM in a list. `since` is when it began to run, where it runs; `trouble` is a sentence, empty where there is none.

    `walls` says in a sentence what it runs without, empty where all stand. `awake` are the names of the workspaces that are awake on it, `asleep` how many more have their place there.
    """

    id: UUID
    name: str
    size: str
    state: State
    since: datetime | None
    trouble: str
    base_image: str
    for_one: bool
    awake: list[str]
    asleep: int
    walls: str


@dataclass(frozen=True, slots=True)
class PlacementView:
    """A workspace was on a VM, from and until; `until` is None while it still is."""

    workspace_id: UUID
    workspace: str
    host_id: UUID
    host: str
    role: str
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Placements:
    """A page of the placement history, the newest first, and where the older ones begin."""

    placements: list[PlacementView]
    older: Place | None


@dataclass(frozen=True, slots=True)
class Hosts:
    """An organization's VMs that are not ended yet, and a page of its history.

    `total` counts the VMs of all pages and `running` those of them that run.
    """

    organization: Organization
    total: int
    running: int
    hosts: list[HostView]
    next_after: UUID | None
    history: Placements
    vm_per_workspace: bool
    export: Answer
    dedicate: Answer


def hosts(
    *, actor: Actor, slug: str, after: UUID | None = None, before: Place | None = None, size: int = PAGE_SIZE
) -> Hosts:
    """The organization's VMs, the newest first, and who was on them; the same number of queries whatever there is.

    Raises:
        NotVisible: there is no such organization for this actor.
        NotAllowed: the actor may not see placements of the whole organization.
    """
    asked = (Action.PLACEMENT_EXPORT, Action.HOST_DEDICATE)
    with visible(actor, slug, *asked) as (found, answers):
        policy.require(actor, Action.PLACEMENT_VIEW, found)
        present = Host.objects.filter(ended_at=None)
        counts = present.aggregate(all=Count("id"), running=Count("id", filter=_runs()))
        rows = list((present.filter(id__lt=after) if after else present).order_by("-id")[: size + 1])
        more = rows[size - 1].id if len(rows) > size else None
        return Hosts(
            found,
            counts["all"],
            counts["running"],
            _views(rows[:size]),
            more,
            _history(ALWAYS, before, size),
            PlacementPolicy.objects.filter(vm_per_workspace=True).exists(),
            answers[Action.PLACEMENT_EXPORT],
            answers[Action.HOST_DEDICATE],
        )


def placements(
    *,
    actor: Actor,
    slug: str,
    period: Period = ALWAYS,
    before: Place | None = None,
    size: int = PAGE_SIZE,
) -> Placements:
    """One page of the placement history of a period, the newest first. Errors as `hosts`."""
    with visible(actor, slug) as (found, _):
        policy.require(actor, Action.PLACEMENT_VIEW, found)
        return _history(period, before, size)


def _runs() -> Q:
    """What `is_ready` asks of one VM, for counting."""
    alive = Q(observed=Observed.RUNNING, wanted=Power.RUNNING, mend=Mend.NOTHING)
    if walls.are_required():
        alive &= Q(missing_walls=[]) | Q(missing_walls=None)
    return alive & Q(joined_at__isnull=False, heard_at__gte=F("joined_at"))


def _history(period: Period, before: Place | None, size: int) -> Placements:
    rows = placed(period)
    if before:
        at, last = before
        # The first condition alone is one that the index can begin at.
        rows = rows.filter(began_at__lte=at).filter(Q(began_at__lt=at) | Q(id__lt=last))
    page = list(rows[: size + 1])
    older = (page[size - 1].began_at, page[size - 1].id) if len(page) > size else None
    return Placements(
        [
            PlacementView(
                one.slot.workspace_id,
                one.slot.workspace_label,
                one.host_id,
                one.host.name,
                one.host.role,
                one.began_at,
                one.ended_at,
            )
            for one in page[:size]
        ],
        older,
    )


def _views(rows: list[Host]) -> list[HostView]:
    ids = [row.id for row in rows]
    here = Placement.objects.filter(host_id__in=ids, ended_at=None)
    awake: dict[UUID, list[str]] = {}
    named = here.filter(slot__active=True).order_by("slot__workspace_label", "id")
    for host_id, label in named.values_list("host_id", "slot__workspace_label"):
        awake.setdefault(host_id, []).append(label)
    sleeping = here.filter(slot__active=False).order_by().values("host_id").annotate(n=Count("id"))
    asleep = dict(sleeping.values_list("host_id", "n"))
    voices = HostVoice.objects.filter(host_id__in=ids).values_list("host_id", "generation", "image_version")
    images = {(host_id, generation): version for host_id, generation, version in voices}
    return [_view(row, images.get((row.id, row.generation), ""), awake, asleep) for row in rows]


def _view(row: Host, image: str, awake: dict[UUID, list[str]], asleep: dict[UUID, int]) -> HostView:
    state = _state(row)
    return HostView(
        row.id,
        row.name,
        row.size,
        state,
        row.running_since if state is State.RUNNING else None,
        words.says(row.trouble),
        image,
        row.dedicated_to is not None,
        awake.get(row.id, []),
        asleep.get(row.id, 0),
        walls.says(row.missing_walls),
    )


def _state(row: Host) -> State:
    if row.wanted == Power.ENDED:
        return State.ENDING
    if row.mend:
        return State.REPLACING if row.mend == Mend.REPLACE else State.RESTARTING
    if row.wanted == Power.RUNNING:
        return State.RUNNING if is_ready(row) else State.STARTING
    # One that was never asked for is as good as stopped.
    off = row.observed in {Observed.STOPPED, Observed.ABSENT, Observed.VANISHED}
    return State.STOPPED if off else State.STOPPING
