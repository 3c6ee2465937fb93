"""All authorization (DESIGN 4, I2): `policy.require(actor, action, target)` is the only way to ask."""

from orgs.policy.actions import Action
from orgs.policy.conditions import About
from orgs.policy.decide import Answer, explain, grantable, held, require, require_grantable, scope_target
from orgs.policy.reach import Reach, reach
from orgs.policy.table import RULES, Rule

__all__ = [
    "RULES",
    "About",
    "Action",
    "Answer",
    "Reach",
    "Rule",
    "explain",
    "grantable",
    "held",
    "reach",
    "require",
    "require_grantable",
    "scope_target",
]
