"""Reads of secrets: names, versions, who changed them and who uses them; there is no value to read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Subquery
from django.utils import timezone

from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.models import Organization
from orgs.places import Place, names_of, offered_places, places_at
from orgs.policy import Action, Answer, Reach
from orgs.roles import Scope
from orgs.selectors import visible
from secrets_ref import paths
from secrets_ref.bindings import bindings
from secrets_ref.models import Consumption, Drift, Outcome, Secret, SecretVersion, Store, Wanted

PAGE_SIZE = 50
MOST_SHOWN = 50
WHOLE_ORGANIZATION = "the whole organization"
SOMEWHERE = "a project or workspace that is gone"


class State(StrEnum):
    """How a secret stands."""

    READY = "ready"
    ON_ITS_WAY = "on_its_way"
    NOT_ARRIVED = "not_arrived"
    CHANGED_OUTSIDE = "changed_outside"
    DELETED_OUTSIDE = "deleted_outside"
    BEING_DELETED = "being_deleted"


@dataclass(frozen=True, slots=True)
class SecretView:
    """A secret in a list. `running` services have read it and run now, `behind` of them an old version."""

    id: UUID
    name: str
    path: str
    project_id: UUID | None
    workspace_id: UUID | None
    place: str
    version: int | None
    state: State
    changed_by: str
    changed_at: datetime
    running: int
    behind: int
    role: str


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version, or one attempt that came to nothing (`version` is None)."""

    version: int | None
    cause: str
    outcome: str
    asked_by: str
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class UseView:
    """A service that runs with a version of a secret, or did; `behind` if a newer one is there."""

    secret_id: UUID
    secret: str
    workspace: str
    workspace_id: UUID
    service: str
    version: int
    current: int | None
    consumed_at: datetime
    running: bool
    behind: bool


@dataclass(frozen=True, slots=True)
class PlaceChoice:
    """A place a secret can be set in: `kind` is organization or project."""

    project_id: UUID | None
    name: str


@dataclass(frozen=True, slots=True)
class Secrets:
    """A page of an organization's secrets, and which services run an old version: the first `MOST_SHOWN` of `behind_total`."""

    organization: Organization
    total: int
    secrets: list[SecretView]
    next_after: UUID | None
    behind: list[UseView]
    behind_total: int
    change: Answer
    may_set_in: list[PlaceChoice]
    own_prefix: str
    compared_at: datetime | None


@dataclass(frozen=True, slots=True)
class OneSecret:
    """One secret with its history and its readers; `bound` says in words what names it."""

    organization: Organization
    secret: SecretView
    versions: list[VersionView]
    uses: list[UseView]
    bound: list[str]
    change: Answer


def secrets(*, actor: Actor, slug: str, after: UUID | None = None, size: int = PAGE_SIZE) -> Secrets:
    """One page of the secrets the actor may see, by name; the same number of queries whatever there is.

    Raises:
        NotVisible: there is no such organization for this actor.
        NotAllowed: the actor may see no secret at all.
    """
    with visible(actor, slug, Action.SECRET_CHANGE) as (found, answers):
        seen = policy.reach(actor, Action.SECRET_VIEW)
        if not seen:
            policy.require(actor, Action.SECRET_VIEW, found)
        live = Secret.objects.filter(_within(seen), deleted_at=None).select_related("role")
        rows = list(_after(live, after).order_by("name", "id")[: size + 1])
        more = rows[size - 1].id if len(rows) > size else None
        behind = _behind(live)
        change = answers[Action.SECRET_CHANGE]
        settable = policy.reach(actor, Action.SECRET_CHANGE)
        return Secrets(
            found,
            live.count(),
            _views(rows[:size]),
            more,
            _uses(list(behind.order_by("secret__name", "workspace_id", "service")[:MOST_SHOWN])),
            behind.count(),
            change,
            _choices(actor, settable),
            paths.own_prefix(found.id),
            Store.objects.values_list("compared_at", flat=True).first(),
        )


def secret(*, actor: Actor, slug: str, secret_id: UUID) -> OneSecret:
    """One secret.

    Raises:
        NotVisible: there is no such organization or secret for this actor.
    """
    with visible(actor, slug) as (found, _):
        row = Secret.objects.filter(id=secret_id, deleted_at=None).first()
        if row is None:
            raise NotVisible
        asked = (Action.SECRET_VIEW, Action.SECRET_CHANGE)
        answers = policy.explain(actor, *asked, target=row)
        if not answers[Action.SECRET_VIEW].allowed:
            policy.require(actor, Action.SECRET_VIEW, row)
        versions = [
            VersionView(one.version, one.cause, one.outcome, one.asked_by, one.asked_at)
            for one in row.versions.order_by("-asked_at", "-id")[:MOST_SHOWN]
        ]
        uses = Consumption.objects.filter(secret=row).select_related("secret")
        latest = list(uses.order_by("-running", "-consumed_at", "-id")[:MOST_SHOWN])
        (view,) = _views([row])
        bound = bindings([row.id]).get(row.id, [])
        return OneSecret(found, view, versions, _uses(latest), bound, answers[Action.SECRET_CHANGE])


def _within(where: Reach) -> Q:
    if where.everywhere:
        return Q()
    return Q(project_id__in=where.project_ids) | Q(workspace_id__in=where.workspace_ids)


def _after(rows: QuerySet[Secret], after: UUID | None) -> QuerySet[Secret]:
    if after is None:
        return rows
    name = Subquery(Secret.objects.filter(id=after).values("name")[:1])
    return rows.annotate(place_in_list=name).filter(
        Q(name__gt=F("place_in_list")) | Q(name=F("place_in_list"), id__gt=after)
    )


def _views(rows: list[Secret]) -> list[SecretView]:
    ids = [row.id for row in rows]
    old = Consumption.objects.filter(running=True, secret_id__in=ids).values("secret_id")
    counts = {
        one["secret_id"]: one
        for one in old.annotate(all=Count("id"), old=Count("id", filter=_is_old())).order_by()
    }
    now = timezone.now()
    asked = SecretVersion.objects.filter(secret_id__in=ids, outcome=Outcome.ASKED)
    waiting = set(asked.values_list("secret_id", flat=True))
    named = _names({(row.project_id, row.workspace_id) for row in rows})
    none = {"all": 0, "old": 0}
    return [
        SecretView(
            row.id,
            row.name,
            row.path,
            row.project_id,
            row.workspace_id,
            named[row.project_id, row.workspace_id],
            row.version,
            _state(row, waiting=row.id in waiting),
            row.changed_by or row.wanted_by,
            min(row.changed_at, now),
            counts.get(row.id, none)["all"],
            counts.get(row.id, none)["old"],
            str(row.role) if row.role else "",
        )
        for row in rows
    ]


def _state(row: Secret, *, waiting: bool) -> State:
    if row.wanted == Wanted.ABSENT:
        return State.BEING_DELETED
    if waiting:
        return State.ON_ITS_WAY
    if row.version is None:
        return State.NOT_ARRIVED
    return {
        Drift.CHANGED.value: State.CHANGED_OUTSIDE,
        Drift.DELETED.value: State.DELETED_OUTSIDE,
    }.get(row.drift, State.READY)


def _names(wanted: set[tuple[UUID | None, UUID | None]]) -> dict[tuple[UUID | None, UUID | None], str]:
    names = names_of(
        (Scope.WORKSPACE, workspace) if workspace else (Scope.PROJECT, project)
        for project, workspace in wanted
        if project
    )
    named: dict[tuple[UUID | None, UUID | None], str] = {}
    for project_id, workspace_id in wanted:
        if project_id is None:
            named[project_id, workspace_id] = WHOLE_ORGANIZATION
            continue
        kind, name = "workspace" if workspace_id else "project", names.get(workspace_id or project_id)
        named[project_id, workspace_id] = f"the {kind} {name}" if name else SOMEWHERE
    return named


def _is_old() -> Q:
    return ~Q(version=F("secret__version"), generation=F("secret__generation"))


def _behind(seen: QuerySet[Secret]) -> QuerySet[Consumption]:
    rows = Consumption.objects.filter(_is_old(), running=True, secret_id__in=seen.values("id"))
    return rows.select_related("secret")


def _uses(rows: list[Consumption]) -> list[UseView]:
    named = names_of((Scope.WORKSPACE, row.workspace_id) for row in rows)
    return [
        UseView(
            row.secret_id,
            row.secret.name,
            named.get(row.workspace_id, "a workspace"),
            row.workspace_id,
            row.service,
            row.version,
            row.secret.version,
            row.consumed_at,
            row.running,
            row.running and (row.version, row.generation) != (row.secret.version, row.secret.generation),
        )
        for row in rows
    ]


def _choices(actor: Actor, settable: Reach) -> list[PlaceChoice]:
    if settable.everywhere:
        whole = PlaceChoice(None, "The whole organization")
        return [whole, *_choices_of(offered_places(actor, Scope.PROJECT))]
    found = places_at((Scope.PROJECT, project_id) for project_id in settable.project_ids).values()
    return _choices_of(sorted(found, key=lambda place: place.name.casefold()))


def _choices_of(projects: Iterable[Place]) -> list[PlaceChoice]:
    return [PlaceChoice(place.id, f"The project {place.name}") for place in projects if place.in_use]
