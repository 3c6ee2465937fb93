"""Where somebody may do something: what a list is narrowed by, so that it asks once and not for each row."""

from dataclasses import dataclass
from uuid import UUID

from envforge.actor import Actor, ServiceAccountActor, SystemActor
from orgs.models import RoleGrant
from orgs.policy.actions import Action
from orgs.policy.decide import grants_of
from orgs.policy.table import RULES
from orgs.roles import Role, Scope


@dataclass(frozen=True, slots=True)
class Reach:
    """The places in which an action is allowed by role: the whole organization, or these projects and workspaces."""

    everywhere: bool
    project_ids: frozenset[UUID] = frozenset()
    workspace_ids: frozenset[UUID] = frozenset()

    def __bool__(self) -> bool:
        return self.everywhere or bool(self.project_ids or self.workspace_ids)


def reach(actor: Actor, action: Action) -> Reach:
    """Where in the entered organization the actor's roles allow the action; conditions of its rule are another question."""
    if isinstance(actor, SystemActor):
        return Reach(everywhere=True)
    whose = grants_of(actor)
    if whose is None or (isinstance(actor, ServiceAccountActor) and action.value not in actor.scopes):
        return Reach(everywhere=False)
    enough = [role for role in Role if role in RULES[action].roles]
    held = RoleGrant.objects.filter(whose, role__in=enough).values_list("scope", "scope_id")
    where: dict[str, set[UUID]] = {}
    for scope, scope_id in held:
        where.setdefault(scope, set()).add(scope_id)
    return Reach(
        everywhere=Scope.ORGANIZATION.value in where,
        project_ids=frozenset(where.get(Scope.PROJECT.value, ())),
        workspace_ids=frozenset(where.get(Scope.WORKSPACE.value, ())),
    )


def anywhere(actor: Actor, *actions: Action) -> frozenset[Action]:
    """Which of the actions the actor's roles allow somewhere in the entered organization; one query for all of them."""
    if isinstance(actor, SystemActor):
        return frozenset(actions)
    whose = grants_of(actor)
    if whose is None:
        return frozenset()
    roles = {Role(role) for role in RoleGrant.objects.filter(whose).values_list("role", flat=True).distinct()}
    scopes = actor.scopes if isinstance(actor, ServiceAccountActor) else {action.value for action in actions}
    return frozenset(action for action in actions if roles & RULES[action].roles and action.value in scopes)
