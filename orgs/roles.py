"""The roles there are, by the scope they are held in."""

from django.db import models


class Scope(models.TextChoices):
    """Where a role is held; a role in a wider scope reaches into the narrower ones."""

    ORGANIZATION = "organization"
    PROJECT = "project"
    WORKSPACE = "workspace"


class Role(models.TextChoices):
    """What somebody may be. The first five are held in an organization, the next three in a project, the last in a workspace."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"
    BILLING = "billing"
    MAINTAINER = "maintainer"
    CONTRIBUTOR = "contributor"
    READER = "reader"
    OPERATOR = "operator"
    COLLABORATOR = "collaborator"
    OBSERVER = "observer"


IN_ORGANIZATION = frozenset({Role.OWNER, Role.ADMIN, Role.DEVELOPER, Role.VIEWER, Role.BILLING})
IN_PROJECT = frozenset({Role.MAINTAINER, Role.CONTRIBUTOR, Role.READER})
IN_WORKSPACE = frozenset({Role.OPERATOR, Role.COLLABORATOR, Role.OBSERVER})

ROLES_OF: dict[Scope, frozenset[Role]] = {
    Scope.ORGANIZATION: IN_ORGANIZATION,
    Scope.PROJECT: IN_PROJECT,
    Scope.WORKSPACE: IN_WORKSPACE,
}

# Nobody grants a role above their own (N2): what a holder of each role may grant or take.
MAY_GRANT: dict[Role, frozenset[Role]] = {
    Role.OWNER: frozenset(Role),
    Role.ADMIN: frozenset(Role) - {Role.OWNER},
    Role.MAINTAINER: IN_PROJECT | IN_WORKSPACE,
    Role.OPERATOR: IN_WORKSPACE,
}

SAYS: dict[Role, str] = {
    Role.OWNER: "everything, the organization's end included",
    Role.ADMIN: "everything but what is the owners' alone",
    Role.DEVELOPER: "works in every project and opens workspaces",
    Role.VIEWER: "sees projects, workspaces and receipts, changes nothing",
    Role.BILLING: "sees usage and money, nothing of the code",
    Role.MAINTAINER: "decides what runs in a project: contracts, bindings, secrets, its people",
    Role.CONTRIBUTOR: "opens and uses workspaces of a project",
    Role.READER: "sees a project and its workspaces",
    Role.OPERATOR: "runs one workspace and decides who uses it",
    Role.COLLABORATOR: "uses one workspace: shell, commands, links",
    Role.OBSERVER: "sees one workspace's states and receipts",
}
