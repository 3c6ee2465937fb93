"""Members at dev hosts by their own sign-in: what they may, and until when (L8)."""

from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from devlinks.models import DevSession
from envforge.errors import NotAllowed, NotVisible
from orgs import policy
from orgs.models import ConsoleSession
from orgs.policy import About, Action
from workspaces.models import Workspace

# Of a shell ticket that expires long before the connection it began.
LONGEST = timedelta(hours=12)


def sign_in_of(session_id: UUID) -> ConsoleSession | None:
    """The console session, while it works."""
    found = ConsoleSession.objects.select_related("person").filter(id=session_id).first()
    return found if found is not None and not found.why_over(timezone.now()) else None


def ends_at(sign_in: ConsoleSession) -> datetime:
    """When what hangs on a sign-in ends by itself: with it."""
    return sign_in.created_at + ConsoleSession.LIFETIME


def require_entry(session: ConsoleSession, workspace: Workspace) -> None:
    """Let a member open the dev hosts of a workspace, or refuse.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; its public access is closed (L7).
    """
    actor = session.person.as_actor()
    policy.require(actor, Action.DEV_URL_OPEN, workspace, About(private=not workspace.public))


def may_stay(session: DevSession) -> bool:
    """Whether a member's session still rests on a role."""
    return why_not(session) == ""


def why_not(session: DevSession) -> str:
    """The word for why a member's session is refused; empty where it is not."""
    if session.console_session_id is None:
        return "no_session"
    sign_in = sign_in_of(session.console_session_id)
    if sign_in is None:
        return "signed_out"
    try:
        require_entry(sign_in, session.workspace)
    except NotVisible:
        return "not_allowed"
    except NotAllowed as refused:
        return "tailscale_only" if refused.denial.rule == "private-workspace" else "not_allowed"
    return ""
