"""Setting usage caps (B3, W8)."""

from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Invalid, NotVisible
from orgs import policy
from orgs.access import locked_organization
from orgs.policy import Action
from workspaces.models import Cap, CapMode, Presence, Workspace

MOST_HOURS = 100_000


def set_cap(
    *, actor: Actor, org_id: UUID, mode: CapMode, hours: int | None, workspace_id: UUID | None = None
) -> None:
    """Cap the awake hours of a calendar month (UTC): of the whole organization, or of one workspace besides.

    Setting the same again changes nothing. What was told of the old cap this month is told anew of a new one.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: `none` takes no hours, the other modes take 1 to `MOST_HOURS`.
    """
    with tenancy.enter(org_id):
        # Whoever may set caps may set those of workspaces that they cannot open: it is the organization's money.
        policy.require_here(actor, Action.CAP_SET)
        _require_usable(mode, hours)
        organization = locked_organization()
        workspace = None
        if workspace_id is not None:
            workspace = Workspace.objects.filter(id=workspace_id).exclude(wanted=Presence.DELETED).first()
            if workspace is None:
                raise NotVisible
        cap = Cap.objects.filter(workspace=workspace).first()
        if cap is None:
            if mode == CapMode.NONE:
                return
            cap = Cap(workspace=workspace)
        elif (cap.mode, cap.hours) == (mode, hours):
            return
        now = timezone.now()
        cap.mode, cap.hours = mode, hours
        cap.changed_at, cap.changed_by = now, actor.label[:200]
        cap.warned_for = cap.reached_for = None
        cap.due_at = None if mode == CapMode.NONE else now
        cap.save()
        append(
            EventKind.CAP_CHANGED, actor=actor, target=workspace or organization, mode=mode.value, hours=hours
        )


def _require_usable(mode: CapMode, hours: int | None) -> None:
    if mode == CapMode.NONE and hours is not None:
        raise Invalid(
            "Without a cap there are no hours.", {"hours": "Leave it empty, or choose what happens."}
        )
    if mode != CapMode.NONE and (hours is None or not 1 <= hours <= MOST_HOURS):
        raise Invalid("A cap needs its hours.", {"hours": f"Use a whole number from 1 to {MOST_HOURS:,}."})
