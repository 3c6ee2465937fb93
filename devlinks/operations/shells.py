"""SSH through the gateway: a ticket for one connection to a workspace's shell (W5, DESIGN 8)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings

from devlinks.relaying import new_ticket
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, NotVisible
from envforge.secret_value import SecretValue
from envforge_protocol.gateway.shells import SHELL_PATH
from orgs import policy
from orgs.access import hold_access
from orgs.policy import Action
from workspaces.holders import holder_id_of
from workspaces.models import Presence, Workspace


@dataclass(frozen=True, slots=True)
class Ticket:
    """What opens one WebSocket at `address`, as its bearer token, once and until then."""

    ticket: SecretValue
    address: str
    expires_at: datetime


def issue_shell_ticket(*, actor: Actor, org_id: UUID, workspace_id: UUID) -> Ticket:
    """A ticket to reach a workspace's shell through the gateway; the shell asks for a certificate all the same.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Conflict: the workspace is archived, its shell is not ready, or no dev domain is set up.
    """
    if not settings.DEV_DOMAIN:
        raise Conflict("There is no gateway here: whoever runs EnvForge sets ENVFORGE_DEV_URL.")
    with tenancy.enter(org_id):
        hold_access()
        workspace = Workspace.objects.filter(id=workspace_id).exclude(wanted=Presence.DELETED).first()
        if workspace is None:
            raise NotVisible
        policy.require(actor, Action.SHELL_CONNECT, workspace)
        if workspace.wanted != Presence.PRESENT:
            raise Conflict("This workspace is archived. Restore it, then connect.")
        ticket, expires_at = new_ticket(
            workspace,
            holder=actor.label,
            holder_id=holder_id_of(actor),
            person_id=next(iter(sorted(actor.people)), None),
        )
        socket = settings.DEV_URL.replace("http", "ws", 1)
        return Ticket(ticket, socket + SHELL_PATH, expires_at)
