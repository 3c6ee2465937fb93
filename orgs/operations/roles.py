"""Giving and taking roles, in the organization, a project or a workspace."""

from uuid import UUID

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor, Target
from envforge.errors import Conflict, Invalid, NotVisible
from orgs import policy
from orgs.access import Narrowed, tell_narrowed
from orgs.memberships import lock_member, require_an_owner
from orgs.models import Person, RoleGrant
from orgs.places import Place, place_at
from orgs.policy import Action
from orgs.roles import ROLES_OF, Role, Scope


def grant_role(
    *,
    actor: Actor,
    org_id: UUID,
    person_id: UUID,
    role: Role,
    scope: Scope = Scope.ORGANIZATION,
    scope_id: UUID | None = None,
) -> None:
    """Give a member a role; giving it again changes and records nothing.

    Args:
        scope_id: the project or workspace; none for the organization itself.

    Raises:
        NotVisible: there is no such member or place, or not for this actor.
        NotAllowed: see `policy.require_grantable`.
        Invalid: the role is none of that scope.
    """
    where = _where(org_id, role, scope, scope_id)
    with tenancy.enter(org_id):
        membership = lock_member(person_id)
        target = _target(membership.person, scope, where)
        if target is None:
            raise NotVisible
        policy.require_grantable(actor, Action.ROLE_GRANT, role, target)
        _, granted = RoleGrant.objects.get_or_create(
            membership=membership, role=role, scope=scope, scope_id=where
        )
        if granted:
            append(
                EventKind.ROLE_GRANTED,
                actor=actor,
                target=membership.person,
                role=role,
                scope=scope,
                scope_id=where,
            )


def revoke_role(
    *,
    actor: Actor,
    org_id: UUID,
    person_id: UUID,
    role: Role,
    scope: Scope = Scope.ORGANIZATION,
    scope_id: UUID | None = None,
) -> None:
    """Take a role from a member; taking one they do not have changes and records nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require_grantable`.
        Invalid: the role is none of that scope.
        Conflict: they are the last owner, or it is their last role here (remove them instead).
    """
    where = _where(org_id, role, scope, scope_id)
    with tenancy.enter(org_id):
        membership = lock_member(person_id)
        # A place may be gone, and the role that was held there is taken all the same.
        target = _target(membership.person, scope, where) or Place(scope, where, scope.value).as_target()
        policy.require_grantable(actor, Action.ROLE_REVOKE, role, target)
        taken, _ = membership.grants.filter(role=role, scope=scope, scope_id=where).delete()
        if not taken:
            return
        if role is Role.OWNER:
            require_an_owner(org_id)
        if not membership.grants.exists():
            raise Conflict(
                f"{role.value} is the last role of {membership.person.name}; remove the member instead."
            )
        append(
            EventKind.ROLE_REVOKED,
            actor=actor,
            target=membership.person,
            role=role,
            scope=scope,
            scope_id=where,
        )
        tell_narrowed(Narrowed(actor, person_id, "role_revoked"))


def _target(person: Person, scope: Scope, where: UUID) -> Target | None:
    """What the policy is asked about: in the organization the member, else the place, if there is such a one."""
    if scope is Scope.ORGANIZATION:
        return person.as_target()
    place = place_at(scope, where)
    return place.as_target() if place else None


def _where(org_id: UUID, role: Role, scope: Scope, scope_id: UUID | None) -> UUID:
    if role not in ROLES_OF[scope]:
        there = ", ".join(sorted(ROLES_OF[scope]))
        raise Invalid("That role is not held there.", {"role": f"In this scope there are: {there}."})
    if scope is Scope.ORGANIZATION:
        return org_id
    if scope_id is None:
        raise Invalid("The role needs a place.", {"scope": f"Say which {scope.value}."})
    return scope_id
