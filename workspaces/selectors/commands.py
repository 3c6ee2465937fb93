"""Commands' receipts, which are metadata and safe to paste, and their output, which is not (W9)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from envforge.actor import Actor
from envforge.errors import NotVisible
from envforge_protocol.contract import Contract
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer
from orgs.selectors import visible
from workspaces.contracts import chosen
from workspaces.models import CommandOutput, CommandRun, CommandType, Presence, Workspace

PAGE_SIZE = 50
LATEST = 5
# What one look at an output brings.
PART_BYTES = 64 * 1024
KINDS = tuple(kind.value for kind in CommandType)
# How a command may have ended, for filters.
ENDS = ("open", "ok", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which commands; empty is every one. `who` is a name as it stands in the receipts, `end` one of `ENDS`."""

    service: str = ""
    type: str = ""
    who: str = ""
    end: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunView:
    """One receipt. `waits` until its runtime is awake, then `runs`, then ended: `exit_status`, or `trouble` in words."""

    id: UUID
    service: str
    type: str
    name: str
    asked_by: str
    asked_at: datetime
    sent_at: datetime | None
    finished_at: datetime | None
    exit_status: int | None
    duration_ms: int | None
    timed_out: bool
    timeout_s: int
    trouble: str
    output_bytes: int
    truncated: bool
    output_gone: bool
    cancelled_by: str

    @property
    def state(self) -> str:
        if self.finished_at is None:
            return "runs" if self.sent_at else "waits"
        return "ok" if self.exit_status == 0 else "failed"


@dataclass(frozen=True, slots=True)
class Choice:
    """A test or command that a contract names."""

    service: str
    type: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Runs:
    """A page of receipts, the newest first, with what could be run."""

    organization: Organization
    workspace: Workspace
    runs: list[RunView]
    next_after: UUID | None
    services: list[str]
    choices: list[Choice]
    may: dict[Action, Answer]


@dataclass(frozen=True, slots=True)
class OneRun:
    """One receipt; `may` says whether its output can be read and it can be cancelled."""

    organization: Organization
    workspace: Workspace
    run: RunView
    may: dict[Action, Answer]


@dataclass(frozen=True, slots=True)
class Output:
    """A part of an output; `data` begins at `offset`. `over`: nothing more will come after `next_offset`."""

    run: RunView
    offset: int
    data: bytes = field(repr=False)
    over: bool

    @property
    def next_offset(self) -> int:
        return self.offset + len(self.data)


def runs(
    *,
    actor: Actor,
    slug: str,
    workspace_id: UUID,
    only: RunFilter | None = None,
    after: UUID | None = None,
    size: int = PAGE_SIZE,
) -> Runs:
    """A workspace's receipts; the same number of queries whatever was run.

    Raises:
        NotVisible: no such workspace for this actor.
        NotAllowed: the actor may see it, and not its receipts.
    """
    with _seen(actor, slug, workspace_id) as (organization, workspace):
        policy.require(actor, Action.RECEIPT_VIEW, workspace)
        rows = _filtered(CommandRun.objects.filter(workspace=workspace), only or RunFilter())
        if after is not None:
            rows = _following(rows, after)
        page = list(rows.order_by("-asked_at", "-id")[: size + 1])
        more, page = len(page) > size, page[:size]
        contracts = [one.contract for one in chosen(workspace).contracts]
        return Runs(
            organization,
            workspace,
            [view_of(row) for row in page],
            page[-1].id if more else None,
            sorted({one.service.name for one in contracts}),
            [choice for one in contracts for choice in _choices(one)],
            _may(actor, workspace),
        )


def run(*, actor: Actor, slug: str, workspace_id: UUID, run_id: UUID) -> OneRun:
    """One receipt; raises as `runs`."""
    with _seen(actor, slug, workspace_id) as (organization, workspace):
        policy.require(actor, Action.RECEIPT_VIEW, workspace)
        return OneRun(organization, workspace, view_of(_one(workspace, run_id)), _may(actor, workspace))


def output(
    *, actor: Actor, slug: str, workspace_id: UUID, run_id: UUID, offset: int = 0, whole: bool = False
) -> Output:
    """At most `PART_BYTES` of a command's output from there on, or the whole rest of it, as it was masked on its VM.

    Raises:
        NotVisible: no such workspace or command for this actor.
        NotAllowed: the actor may see it, and not what commands wrote.
    """
    with _seen(actor, slug, workspace_id) as (_, workspace):
        policy.require(actor, Action.COMMAND_OUTPUT_READ, workspace)
        row = _one(workspace, run_id)
        data = _read(row, offset, max(row.output_bytes - offset, 0) if whole else PART_BYTES)
        # The end may be told before the last of the output has come.
        over = row.finished_at is not None and offset + len(data) >= row.output_bytes
        return Output(view_of(row), offset, data, over=over)


def latest(
    actor: Actor, workspace: Workspace
) -> tuple[list[RunView], list[Choice], dict[Action, Answer]] | None:
    """The latest receipts and what can be run, for the workspace's page; None for whoever may not see receipts. Entered already."""
    may = _may(actor, workspace)
    if not may[Action.RECEIPT_VIEW].allowed:
        return None
    rows = CommandRun.objects.filter(workspace=workspace).order_by("-asked_at", "-id")[:LATEST]
    choices = [choice for one in chosen(workspace).contracts for choice in _choices(one.contract)]
    return [view_of(row) for row in rows], choices, may


def view_of(row: CommandRun) -> RunView:
    return RunView(
        row.id,
        row.service,
        row.type,
        row.name,
        row.asked_by,
        row.asked_at,
        row.sent_at,
        row.finished_at,
        row.exit_status,
        row.duration_ms,
        row.timed_out,
        row.timeout_s,
        row.trouble,
        row.output_bytes,
        row.truncated,
        row.output_gone_at is not None,
        row.cancelled_by,
    )


@contextmanager
def _seen(actor: Actor, slug: str, workspace_id: UUID) -> Iterator[tuple[Organization, Workspace]]:
    with visible(actor, slug) as (organization, _):
        row = Workspace.objects.select_related("project").filter(id=workspace_id).first()
        if row is None or row.wanted == Presence.DELETED:
            raise NotVisible
        policy.require(actor, Action.WORKSPACE_VIEW, row)
        yield organization, row


def _one(workspace: Workspace, run_id: UUID) -> CommandRun:
    row = CommandRun.objects.filter(workspace=workspace, id=run_id).first()
    if row is None:
        raise NotVisible
    return row


def _may(actor: Actor, workspace: Workspace) -> dict[Action, Answer]:
    asked = (Action.RECEIPT_VIEW, Action.COMMAND_RUN, Action.COMMAND_OUTPUT_READ)
    return policy.explain(actor, *asked, target=workspace)


def _filtered(rows: "QuerySet[CommandRun]", only: RunFilter) -> "QuerySet[CommandRun]":
    exact = {"service": only.service, "type": only.type, "asked_by": only.who}
    rows = rows.filter(**{column: value for column, value in exact.items() if value})
    if only.since is not None:
        rows = rows.filter(asked_at__gte=only.since)
    if only.end == "open":
        rows = rows.filter(finished_at=None)
    elif only.end == "ok":
        rows = rows.filter(exit_status=0)
    elif only.end == "failed":
        rows = rows.filter(finished_at__isnull=False).exclude(exit_status=0)
    return rows


def _following(rows: "QuerySet[CommandRun]", after: UUID) -> "QuerySet[CommandRun]":
    last = CommandRun.objects.filter(id=after).values_list("asked_at", flat=True).first()
    if last is None:
        return rows.none()
    return rows.filter(Q(asked_at__lt=last) | Q(asked_at=last, id__lt=after))


def _choices(contract: Contract) -> Iterator[Choice]:
    for name, test in contract.tests.items():
        yield Choice(contract.service.name, CommandType.TEST.value, name, test.description)
    for name, command in contract.commands.items():
        yield Choice(contract.service.name, CommandType.SERVICE.value, name, command.description)


def _read(row: CommandRun, offset: int, most: int) -> bytes:
    if row.output_gone_at is not None:
        return b""
    earlier = CommandOutput.objects.filter(run=row, offset__lte=offset).order_by("-offset").first()
    begins = earlier.offset if earlier else 0
    found, at = bytearray(), offset
    for part in CommandOutput.objects.filter(run=row, offset__gte=begins).order_by("offset").iterator():
        piece = bytes(part.data)[max(at - part.offset, 0) :]
        found += piece[: most - len(found)]
        at = part.offset + len(part.data)
        if len(found) >= most:
            break
    return bytes(found)
