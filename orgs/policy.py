"""Who may do what: one table, asked by every operation and selector (DESIGN 4)."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.utils import timezone

from envforge import tenancy
from envforge.actor import Actor, HasTarget, SupportActor, SystemActor, UserActor
from envforge.errors import Denial, NotAllowed, NotVisible
from orgs.models import Role, RoleGrant, SupportVisit


class Action(StrEnum):
    """What can be done, in the imperative; the words stand in refusals and in `access.denied`."""

    ORGANIZATION_VIEW = "organization.view"
    ORGANIZATION_RENAME = "organization.rename"
    MEMBER_ADD = "member.add"
    AUDIT_READ = "audit.read"
    AUDIT_EXPORT = "audit.export"


EVERYBODY = frozenset(Role)

MAY: dict[Action, frozenset[Role]] = {
    Action.ORGANIZATION_VIEW: EVERYBODY,
    Action.ORGANIZATION_RENAME: frozenset({Role.OWNER, Role.ADMIN}),
    Action.MEMBER_ADD: frozenset({Role.OWNER, Role.ADMIN}),
    Action.AUDIT_READ: frozenset({Role.OWNER, Role.ADMIN}),
    Action.AUDIT_EXPORT: frozenset({Role.OWNER, Role.ADMIN}),
}

# Nobody grants a role above their own (N2): what a holder of each role may grant.
MAY_GRANT: dict[Role, frozenset[Role]] = {
    Role.OWNER: EVERYBODY,
    Role.ADMIN: EVERYBODY - {Role.OWNER},
}


def require(actor: Actor, action: Action, target: HasTarget) -> None:
    """Let the actor do this in the entered organization, or refuse.

    Raises:
        NotVisible: the actor is no member here; the target might as well not exist.
        NotAllowed: the actor may see the target, and no role of theirs allows this.
    """
    answer = explain(actor, action)[action]
    if not answer.allowed:
        _refuse(actor, action, target, rule=answer.rule, why=answer.why)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether an action is allowed; if not, by which rule, and why in words."""

    allowed: bool
    rule: str = ""
    why: str = ""


def explain(actor: Actor, *actions: Action) -> dict[Action, Answer]:
    """What `require` would say of each action in the entered organization, without refusing; one query for all.

    Raises:
        NotVisible: the actor is no member here.
    """
    if isinstance(actor, SystemActor):
        return dict.fromkeys(actions, Answer(allowed=True))
    if isinstance(actor, SupportActor):
        return _explain_to_support(actor, actions)
    roles = _roles(actor)
    if not roles & MAY[Action.ORGANIZATION_VIEW]:
        raise NotVisible
    return {action: _answer(roles, action) for action in actions}


def _explain_to_support(actor: SupportActor, actions: tuple[Action, ...]) -> dict[Action, Answer]:
    """Support reads, for as long as its visit to the entered organization lasts, and changes nothing."""
    visit = SupportVisit.objects.filter(id=actor.visit_id, person_id=actor.person_id, left_at=None)
    if not visit.filter(until__gt=timezone.now()).exists():
        raise NotVisible
    no = Answer(allowed=False, rule="support-reads-only", why="Support may look at this organization only.")
    reads = {Action.ORGANIZATION_VIEW, Action.AUDIT_READ}
    return {action: Answer(allowed=True) if action in reads else no for action in actions}


def _answer(roles: frozenset[Role], action: Action) -> Answer:
    if roles & MAY[action]:
        return Answer(allowed=True)
    needed = " or ".join(role.value for role in Role if role in MAY[action])
    return Answer(allowed=False, rule="role", why=f"This takes the role {needed} in this organization.")


def require_grantable(actor: Actor, role: Role, target: HasTarget) -> None:
    """Let the actor give this role to somebody, or refuse; errors as `require`, for `member.add`."""
    require(actor, Action.MEMBER_ADD, target)
    if isinstance(actor, SystemActor):
        return
    grantable = frozenset[Role]().union(*(MAY_GRANT.get(own, frozenset()) for own in _roles(actor)))
    if role not in grantable:
        _refuse(
            actor,
            Action.MEMBER_ADD,
            target,
            rule="role-above-own",
            why=f"Nobody grants a role above their own; {role.value} is above yours.",
        )


def _roles(actor: Actor) -> frozenset[Role]:
    if not isinstance(actor, UserActor):
        return frozenset()
    granted = RoleGrant.objects.filter(membership__person_id=actor.person_id).values_list("role", flat=True)
    return frozenset(Role(role) for role in granted)


def _refuse(actor: Actor, action: Action, target: HasTarget, *, rule: str, why: str) -> None:
    org_id: UUID = tenancy.current_org()
    raise NotAllowed(Denial(org_id, actor, action.value, target.as_target(), rule), why)
