"""Who came into a workspace's shell, and who may: connections and certificates (W5)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from envforge.actor import Actor
from envforge.errors import NotVisible
from orgs import policy
from orgs.models import Organization
from orgs.policy import Action, Answer
from orgs.selectors import visible
from workspaces.models import Certificate, Presence, Shell, ShellSession, Workspace
from workspaces.states import ShellNow, now_of

MOST = 100
LATEST = 5


@dataclass(frozen=True, slots=True)
class SessionView:
    """A connection; `end` is a word for how it ended. `own`: the actor's; `may_end`: it is open, and the actor may end it."""

    id: UUID
    holder: str
    connected_at: datetime
    disconnected_at: datetime | None
    end: str
    own: bool
    may_end: bool


@dataclass(frozen=True, slots=True)
class CertificateView:
    """A certificate that was issued; the certificate itself is kept nowhere."""

    serial: int
    holder: str
    forwarding: bool
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_cause: str
    works: bool


@dataclass(frozen=True, slots=True)
class ShellView:
    """A workspace's shell, the latest connections and certificates, and what the actor may do."""

    organization: Organization
    workspace: Workspace
    state: ShellNow
    trouble: str
    sessions: list[SessionView]
    certificates: list[CertificateView]
    may: dict[Action, Answer]


def shell(*, actor: Actor, slug: str, workspace_id: UUID) -> ShellView:
    """The shell of a workspace.

    Raises:
        NotVisible: no such workspace for this actor.
        NotAllowed: the actor may see it, and not who came in.
    """
    with visible(actor, slug) as (organization, _):
        row = Workspace.objects.select_related("project", "shell", "runtime").filter(id=workspace_id).first()
        if row is None or row.wanted == Presence.DELETED:
            raise NotVisible
        policy.require(actor, Action.RECEIPT_VIEW, row)
        found: Shell = row.shell
        may = may_of(actor, row)
        return ShellView(
            organization,
            row,
            now_of(row, found, row.runtime).shell,
            found.trouble,
            sessions_of(actor, row, may),
            _certificates(row),
            may,
        )


def may_of(actor: Actor, workspace: Workspace) -> dict[Action, Answer]:
    """What the actor may do about a shell."""
    asked = (
        *(Action.RECEIPT_VIEW, Action.SHELL_CONNECT),
        *(Action.CONSOLE_FORWARD, Action.WORKSPACE_ARCHIVE),
    )
    return policy.explain(actor, *asked, target=workspace)


def sessions_of(
    actor: Actor, workspace: Workspace, may: dict[Action, Answer], at_most: int = MOST
) -> list[SessionView]:
    """The latest connections, the open ones first; in the entered organization."""
    rows = ShellSession.objects.filter(workspace=workspace).select_related("certificate")
    still = list(rows.filter(disconnected_at=None).order_by("-connected_at")[:at_most])
    over = list(rows.filter(disconnected_at__isnull=False).order_by("-connected_at")[: at_most - len(still)])
    views = []
    for row in [*still, *over]:
        own = (row.certificate.holder_kind, row.certificate.holder_id) == (actor.kind, actor.id)
        may_end = row.disconnected_at is None and (own or may[Action.WORKSPACE_ARCHIVE].allowed)
        views.append(
            SessionView(
                row.id,
                row.certificate.holder,
                row.connected_at,
                row.disconnected_at,
                row.end_cause,
                own,
                may_end,
            )
        )
    return views


def _certificates(workspace: Workspace) -> list[CertificateView]:
    now = timezone.now()
    rows = Certificate.objects.filter(workspace=workspace).order_by("-issued_at", "-id")[:MOST]
    return [
        CertificateView(
            row.serial,
            row.holder,
            row.forwarding,
            row.issued_at,
            row.expires_at,
            row.revoked_at,
            row.revoked_cause,
            row.revoked_at is None and row.expires_at > now,
        )
        for row in rows
    ]
