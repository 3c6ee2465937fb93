"""Who issues links and is given their addresses, by the organization's link policy beside what roles say (L1)."""

from devlinks import rules
from devlinks.models import Issuers
from envforge.actor import Actor, SystemActor
from orgs import policy
from orgs.policy import RULES, Action, Answer
from orgs.policy.decide import refuse
from orgs.roles import Role
from workspaces.models import Workspace

WHY_NOT_ISSUE = {
    Issuers.WORKSPACE: "Your roles in this workspace no longer let you issue links.",
    Issuers.OPERATORS: "By this organization's link policy, operators, maintainers and admins alone issue links.",
    Issuers.ADMINS: "By this organization's link policy, admins and owners alone issue links.",
}
_MAY_ISSUE = {
    Issuers.WORKSPACE: RULES[Action.DEV_LINK_ISSUE].roles,
    Issuers.OPERATORS: {Role.OWNER, Role.ADMIN, Role.MAINTAINER, Role.OPERATOR},
    Issuers.ADMINS: {Role.OWNER, Role.ADMIN},
}


def issuer(actor: Actor, workspace: Workspace, allowed: rules.Rules) -> Answer:
    """Whether the actor may be given an address of this workspace's links, and why not; of one's own earlier link too."""
    if isinstance(actor, SystemActor) or (
        policy.held(actor, workspace.as_target()) & _MAY_ISSUE[allowed.issuers]
    ):
        return Answer(allowed=True, rule="link-policy", why="")
    return Answer(allowed=False, rule="link-policy", why=WHY_NOT_ISSUE[allowed.issuers])


def require_issuer(actor: Actor, workspace: Workspace, allowed: rules.Rules) -> None:
    """Raises NotAllowed, and records it, where `issuer` says no."""
    answer = issuer(actor, workspace, allowed)
    if not answer.allowed:
        refuse(actor, Action.DEV_LINK_ISSUE, workspace.as_target(), answer)
