"""SSH through a gateway: a ticket for one connection, and where it leads (DESIGN 8, THREATS H7).

The SSH server asks for the certificate anyway; the ticket keeps strangers from reaching it at all.
"""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from devlinks.lookups import ticket_by_digest
from devlinks.models import ShellTicket
from devlinks.purges import purge, revision_now
from envforge import tenancy
from envforge.errors import Conflict
from envforge.secret_value import SecretValue
from envforge_protocol.gateway.base import digest
from envforge_protocol.gateway.decisions import Refused
from envforge_protocol.gateway.shells import Shell as OpenShell
from envforge_protocol.gateway.shells import ShellOpened, ShellRequest
from workspaces.models import Presence, Shell, ShellState, Workspace

PREFIX = "envf_shell_"
MAX_LENGTH = 100
GOOD_FOR = timedelta(seconds=60)
LONGEST = timedelta(hours=12)


def new_ticket(
    workspace: Workspace, *, holder: str, holder_id: UUID, person_id: UUID | None
) -> tuple[SecretValue, datetime]:
    """A ticket for somebody whom policy has let connect, and until when; in the caller's transaction and organization.

    Raises:
        Conflict: the shell is not ready.
    """
    if not Shell.objects.filter(workspace=workspace, observed=ShellState.READY).exists():
        raise Conflict("The shell is not ready yet. Try again in a moment.")
    held, now = PREFIX + secrets.token_urlsafe(32), timezone.now()
    ticket = ShellTicket.objects.create(
        digest=digest(held),
        workspace=workspace,
        holder=holder[:200],
        person_id=person_id,
        holder_id=holder_id,
        made_at=now,
        expires_at=now + GOOD_FOR,
        until=now + LONGEST,
    )
    return SecretValue(held), ticket.expires_at


def open_shell(request: ShellRequest) -> ShellOpened:
    """Where one connection leads, for a ticket that was not spent; good once."""
    revision = revision_now()
    held = request.ticket.get_secret_value()
    known = held.startswith(PREFIX) and len(held) <= MAX_LENGTH and held.isascii()
    ids = ticket_by_digest(digest(held)) if known else None
    if ids is None:
        return ShellOpened(revision=revision, refused=Refused(word="code"))
    org_id, ticket_id = ids
    with tenancy.enter(org_id):
        tickets = ShellTicket.objects.select_for_update(of=("self",)).select_related("workspace")
        ticket = tickets.get(id=ticket_id)
        now = timezone.now()
        if ticket.spent_at is not None or ticket.ended_at is not None or ticket.expires_at <= now:
            return ShellOpened(revision=revision, refused=Refused(word="code"))
        ticket.spent_at = now
        ticket.save(update_fields=["spent_at"])
        shell = Shell.objects.select_related("host").get(workspace=ticket.workspace)
        word = _why_not(ticket.workspace, shell)
        if word or shell.host is None:
            return ShellOpened(revision=revision, refused=Refused(word=word or "unavailable"))
        return ShellOpened(
            revision=revision,
            shell=OpenShell.model_validate(
                {
                    "session_id": ticket.id,
                    "person_id": ticket.person_id,
                    "workspace_id": ticket.workspace_id,
                    "organization_id": org_id,
                    "address": shell.host.address,
                    "port": shell.ssh_port,
                    "expires_at": ticket.until,
                }
            ),
        )


def open_tickets(holder_id: UUID) -> "QuerySet[ShellTicket]":
    """The relayed connections that a person, an agent of theirs, or a program may have open in the entered organization."""
    theirs = Q(holder_id=holder_id) | Q(person_id=holder_id)
    return ShellTicket.objects.filter(theirs, ended_at=None, until__gt=timezone.now()).order_by("id")


def end_tickets(holder_id: UUID, *, cause: str) -> int:
    """End them, and tickets not spent yet, in the caller's transaction; whoever still may asks for another one."""
    ended = 0
    for ticket in open_tickets(holder_id):
        ended += ShellTicket.objects.filter(id=ticket.id, ended_at=None).update(ended_at=timezone.now())
        purge("session", ticket.id, reason=cause)
    return ended


def _why_not(workspace: Workspace, shell: Shell) -> str:
    if workspace.wanted != Presence.PRESENT:
        return "gone"
    host = shell.host
    there = host is not None and bool(host.address) and host.generation == shell.generation
    ready = there and shell.observed == ShellState.READY and shell.ssh_port is not None
    return "" if ready else "unavailable"
