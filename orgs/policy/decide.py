"""Asking the table."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from envforge import tenancy
from envforge.actor import (
    Actor,
    HasTarget,
    ServiceAccountActor,
    SupportActor,
    SystemActor,
    Target,
    UserActor,
)
from envforge.errors import Denial, NotAllowed, NotVisible
from orgs.models import Organization, RoleGrant, ServiceAccount, SupportVisit
from orgs.policy.actions import Action
from orgs.policy.conditions import About, own
from orgs.policy.table import RULES, SEEN_BY, SUPPORT_MAY, Rule
from orgs.roles import MAY_GRANT, Role, Scope


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether an action is allowed; if not, by which rule, and why in words."""

    allowed: bool
    rule: str = ""
    why: str = ""


YES = Answer(allowed=True)
NOTHING_ABOUT = About()


def require(actor: Actor, action: Action, target: HasTarget | Target, about: About = NOTHING_ABOUT) -> None:
    """Let the actor do this in the entered organization, or refuse.

    Raises:
        NotVisible: the actor may not even see the target; it might as well not exist.
        NotAllowed: the actor may see the target, and a rule refuses; it carries the denial to record.
    """
    subject = as_target(target)
    answer = explain(actor, action, target=subject, about=about)[action]
    if not answer.allowed:
        refuse(actor, action, subject, answer)


def explain(
    actor: Actor,
    *actions: Action,
    target: HasTarget | Target | None = None,
    about: About = NOTHING_ABOUT,
) -> dict[Action, Answer]:
    """What `require` would say of each action, without refusing; one query for all of them.

    Args:
        target: what it is about; without one, the organization itself.

    Raises:
        NotVisible: the actor may not even see the target.
    """
    if isinstance(actor, SystemActor):
        return dict.fromkeys(actions, YES)
    subject = as_target(target) if target else Target("organization", str(tenancy.current_org()), "")
    if isinstance(actor, SupportActor):
        _require_visit(actor)
        return {action: _of_support(action) for action in actions}
    roles = held(actor, subject)
    seen_by = SEEN_BY.get(subject.kind, Action.ORGANIZATION_VIEW)
    if not roles & RULES[seen_by].roles:
        raise NotVisible
    return {action: _answer(actor, action, roles, about) for action in actions}


def require_grantable(actor: Actor, action: Action, role: Role, target: HasTarget | Target) -> None:
    """Let the actor give or take this role, or refuse: `require`, and nobody reaches above their own role (N2)."""
    require(actor, action, target)
    if isinstance(actor, SystemActor):
        return
    if role not in grantable(actor, target):
        why = f"Nobody gives or takes a role above their own; {role.value} is above yours."
        refuse(actor, action, as_target(target), Answer(allowed=False, rule="role-above-own", why=why))


def require_here(actor: Actor, action: Action) -> None:
    """`require` of the organization itself: asked before something is looked up by an id that not everybody may know of.

    So whoever may not do this hears the same of an id that is there and of one that is not (I5).
    """
    organization = Organization.objects.filter(id=tenancy.current_org()).first()
    if organization is None:
        raise NotVisible
    require(actor, action, organization)


def require_holding(actor: Actor, action: Action, scopes: frozenset[Action], account: ServiceAccount) -> None:
    """Let the actor issue a token of these scopes, or refuse: nobody hands out a scope, or the use of a role, above their own (N2).

    Raises:
        NotAllowed: as `require`.
    """
    if isinstance(actor, SystemActor):
        return
    above = sorted(scopes - may_hand_out(actor, *scopes))
    if above:
        why = f"Nobody issues a scope above their own; {above[0]} is above yours."
        refuse(actor, action, as_target(account), Answer(allowed=False, rule="scope-above-own", why=why))
    for role in account.grants.values_list("role", flat=True):
        require_grantable(actor, action, Role(role), account)


def may_hand_out(actor: Actor, *scopes: Action) -> frozenset[Action]:
    """Those of the scopes that the actor holds in the organization: by role, and for a program by its own token."""
    roles = held(actor, Target("organization", str(tenancy.current_org()), ""))
    narrowed = actor.scopes if isinstance(actor, ServiceAccountActor) else frozenset(Action)
    return frozenset(scope for scope in scopes if roles & RULES[scope].roles and scope in narrowed)


def grantable(actor: Actor, target: HasTarget | Target) -> frozenset[Role]:
    """The roles that the actor's own let them give or take where the target is; the action is another question."""
    reach = (MAY_GRANT.get(one, frozenset[Role]()) for one in held(actor, as_target(target)))
    return frozenset[Role]().union(*reach)


def grantable_at(actor: Actor, targets: Sequence[Target]) -> list[frozenset[Role]]:
    """What the actor may give or take at each of the targets, the action included; one query for all of them."""
    if not targets:
        return []
    wide = Q(scope=Scope.ORGANIZATION)
    projects = {target.project_id for target in targets if target.project_id}
    workspaces = {target.workspace_id for target in targets if target.workspace_id}
    where = (
        wide
        | Q(scope=Scope.PROJECT, scope_id__in=projects)
        | Q(scope=Scope.WORKSPACE, scope_id__in=workspaces)
    )
    whose = grants_of(actor)
    if whose is None or (isinstance(actor, ServiceAccountActor) and Action.ROLE_GRANT not in actor.scopes):
        return [frozenset()] * len(targets)
    grants = RoleGrant.objects.filter(where & whose).values_list("scope", "scope_id", "role")
    mine = [(scope, scope_id, Role(role)) for scope, scope_id, role in grants]
    answers = []
    for target in targets:
        there = {
            role
            for scope, scope_id, role in mine
            if scope == Scope.ORGANIZATION or scope_id in {target.project_id, target.workspace_id}
        }
        answers.append(frozenset[Role]().union(*(MAY_GRANT.get(role, frozenset()) for role in there)))
    return answers


def refuse(actor: Actor, action: Action, target: Target, answer: Answer) -> None:
    """Raise the refusal that the error mapper records."""
    denial = Denial(tenancy.current_org(), actor, action.value, target, answer.rule)
    raise NotAllowed(denial, answer.why)


def held(actor: Actor, target: Target) -> frozenset[Role]:
    """The roles the actor holds where the target is: in the organization, its project and its workspace."""
    where = Q(scope=Scope.ORGANIZATION)
    if target.project_id:
        where |= Q(scope=Scope.PROJECT, scope_id=target.project_id)
    if target.workspace_id:
        where |= Q(scope=Scope.WORKSPACE, scope_id=target.workspace_id)
    whose = grants_of(actor)
    if whose is None:
        return frozenset()
    return frozenset(
        Role(role) for role in RoleGrant.objects.filter(where & whose).values_list("role", flat=True)
    )


def covers(actor: Actor, role: Role, target: HasTarget | Target) -> bool:
    """Whether the roles that the actor holds where the target is allow all that this role would."""
    if isinstance(actor, SystemActor):
        return True
    roles = held(actor, as_target(target))
    return all(roles & rule.roles for rule in RULES.values() if role in rule.roles)


def grants_of(actor: Actor) -> Q | None:
    """The role grants that count for the actor; None for one who is never given any."""
    match actor:
        case UserActor(person_id=person_id):
            return Q(membership__person_id=person_id, membership__suspended_at=None)
        case ServiceAccountActor(account_id=account_id):
            return Q(service_account_id=account_id, service_account__removed_at=None)
        case _:
            return None


def _answer(actor: Actor, action: Action, roles: frozenset[Role], about: About) -> Answer:
    rule = RULES[action]
    if isinstance(actor, ServiceAccountActor) and action.value not in actor.scopes:
        return Answer(
            allowed=False, rule="token-scope", why=f"This token's scopes do not include {action.value}."
        )
    if not roles & rule.roles and not (rule.or_own and own(actor, about)):
        return Answer(allowed=False, rule="role", why=f"This takes the role {_needed(rule)}.")
    for condition in rule.conditions:
        if not condition.holds(actor, about):
            return Answer(allowed=False, rule=condition.name, why=condition.why)
    return YES


def _require_visit(actor: SupportActor) -> None:
    """Support is here only while its visit to the entered organization lasts."""
    visit = SupportVisit.objects.filter(id=actor.visit_id, person_id=actor.person_id, left_at=None)
    if not visit.filter(until__gt=timezone.now()).exists():
        raise NotVisible


def _of_support(action: Action) -> Answer:
    if action in SUPPORT_MAY:
        return YES
    return Answer(allowed=False, rule="support-reads-only", why="Support looks and changes nothing.")


def _needed(rule: Rule) -> str:
    names = [role.value for role in Role if role in rule.roles]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def as_target(target: HasTarget | Target) -> Target:
    return target if isinstance(target, Target) else target.as_target()
