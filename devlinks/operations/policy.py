"""What an organization allows of its links (L1, L4)."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from devlinks import rules
from devlinks.models import Issuers, LinkPolicy
from devlinks.rules import Rules
from devlinks.words import spoken
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Invalid
from orgs import policy
from orgs.access import locked_organization
from orgs.policy import Action

_BOUNDS = {
    "longest_s": (rules.SHORTEST_S, rules.LONGEST_EVER_S),
    "wakes_budget": (0, rules.MOST_WAKES),
    "awake_budget_s": (0, rules.MOST_AWAKE_S),
    "workspace_wakes": (0, rules.MOST_WAKES),
    "workspace_awake_s": (0, 24 * 3600),
}


def set_link_policy(*, actor: Actor, org_id: UUID, **changes: Any) -> Rules:
    """Change what is allowed of links that are issued or extended from now on; `changes` are fields of `Rules`.

    Links that exist keep their end and their budgets. The same again changes nothing.

    Raises:
        NotAllowed: see `policy.require`.
        Invalid: a value that cannot be used.
    """
    with tenancy.enter(org_id):
        policy.require_here(actor, Action.DEV_LINK_SET_POLICY)
        organization = locked_organization()
        before = rules.current()
        after = _checked(replace(before, **changes))
        if after == before:
            return after
        LinkPolicy.objects.update_or_create(
            org_id=org_id,
            defaults={**after.as_columns(), "changed_at": timezone.now(), "changed_by": actor.label},
        )
        append(EventKind.DEV_LINK_POLICY_CHANGED, actor=actor, target=organization, longest_s=after.longest_s)
        return after


def _checked(wanted: Rules) -> Rules:
    wrong = {}
    for name, (least, most) in _BOUNDS.items():
        if not least <= getattr(wanted, name) <= most:
            told = (spoken(least), spoken(most)) if name.endswith("_s") else (least, most)
            wrong[name] = f"Choose from {told[0]} to {told[1]}."
    if wanted.issuers not in Issuers.values:
        wrong["issuers"] = "Choose one of the list."
    surfaces = rules.in_order(wanted.surfaces)
    if not surfaces or set(wanted.surfaces) - set(surfaces):
        wrong["surfaces"] = f"Choose some of {', '.join(rules.SURFACES)}."
    if wrong:
        raise Invalid("The policy cannot be used as it is.", wrong)
    return replace(wanted, issuers=Issuers(wanted.issuers), surfaces=surfaces)
