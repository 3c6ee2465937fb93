"""All authorization (DESIGN 4, I2): `policy.require(actor, action, target)` is the only way to ask."""

from orgs.policy.actions import Action
from orgs.policy.conditions import About
from orgs.policy.decide import (
    Answer,
    covers,
    explain,
    grantable,
    grantable_at,
    held,
    may_hand_out,
    require,
    require_grantable,
    require_here,
    require_holding,
)
from orgs.policy.reach import Reach, anywhere, reach
from orgs.policy.table import RULES, Rule

__all__ = [
    "RULES",
    "About",
    "Action",
    "Answer",
    "Reach",
    "Rule",
    "anywhere",
    "covers",
    "explain",
    "grantable",
    "grantable_at",
    "held",
    "may_hand_out",
    "reach",
    "require",
    "require_grantable",
    "require_here",
    "require_holding",
]
