"""Who issues links by the organization's own link policy, beside what the roles say (L1)."""

from devlinks.models import Issuers
from devlinks.rules import Rules
from envforge.actor import Actor, SystemActor
from orgs import policy
from orgs.policy import RULES, Action
from orgs.policy.decide import YES, Answer, refuse
from orgs.roles import Role
from workspaces.models import Workspace

WHY_NOT = {
    Issuers.WORKSPACE: "Your roles in this workspace no longer let you issue links.",
    Issuers.OPERATORS: "By this organization's link policy, operators, maintainers and admins alone issue links.",
    Issuers.ADMINS: "By this organization's link policy, admins and owners alone issue links.",
}
_MAY_ISSUE = {
    Issuers.WORKSPACE: RULES[Action.DEV_LINK_ISSUE].roles,
    Issuers.OPERATORS: {Role.OWNER, Role.ADMIN, Role.MAINTAINER, Role.OPERATOR},
    Issuers.ADMINS: {Role.OWNER, Role.ADMIN},
}


def may_issue(actor: Actor, workspace: Workspace, allowed: Rules) -> Answer:
    """Whether the link policy lets the actor give out an address to a service of the workspace; of one's own earlier link, too."""
    roles = _MAY_ISSUE[allowed.issuers]
    if isinstance(actor, SystemActor) or policy.held(actor, workspace.as_target()) & roles:
        return YES
    return Answer(allowed=False, rule="link-policy", why=WHY_NOT[allowed.issuers])


def require_issuer(actor: Actor, workspace: Workspace, allowed: Rules) -> None:
    """Refuse who may not.

    Raises:
        NotAllowed: with the rule `link-policy`.
    """
    answer = may_issue(actor, workspace, allowed)
    if not answer.allowed:
        refuse(actor, Action.DEV_LINK_ISSUE, workspace.as_target(), answer)
