"""Who may do what: the one table, from which the roles page and the documents are rendered too (DESIGN 4, P2)."""

from dataclasses import dataclass

from orgs.policy.actions import Action
from orgs.policy.conditions import Condition, not_involved, public, root_open
from orgs.roles import IN_ORGANIZATION, IN_PROJECT, IN_WORKSPACE, Role


@dataclass(frozen=True, slots=True)
class Rule:
    """An action in words, the roles that allow it, and what must hold besides.

    `or_own`: whoever the target belongs to may do it without such a role.
    """

    says: str
    roles: frozenset[Role]
    conditions: tuple[Condition, ...] = ()
    or_own: bool = False


_OWNER = frozenset({Role.OWNER})
_ADMIN = _OWNER | {Role.ADMIN}
_EVERYBODY = IN_ORGANIZATION | IN_PROJECT | IN_WORKSPACE
_MAINTAIN = _ADMIN | {Role.MAINTAINER}
_WORK = _MAINTAIN | {Role.DEVELOPER, Role.CONTRIBUTOR}
_SEE = _WORK | {Role.VIEWER, Role.READER}
_OPERATE = _MAINTAIN | {Role.OPERATOR}
_USE = _WORK | {Role.OPERATOR, Role.COLLABORATOR}
# A shell is somebody's place to work: a role in the workspace or its project opens it, one in the organization does not.
_ENTER = _OPERATE | {Role.COLLABORATOR, Role.CONTRIBUTOR}
_OBSERVE = _USE | {Role.VIEWER, Role.READER, Role.OBSERVER}
_MONEY = _ADMIN | {Role.BILLING}

RULES: dict[Action, Rule] = {
    Action.ORGANIZATION_VIEW: Rule("see the organization and its people", _EVERYBODY),
    Action.ORGANIZATION_RENAME: Rule("rename the organization", _ADMIN),
    Action.ORGANIZATION_ARCHIVE: Rule("archive or delete the organization", _OWNER),
    Action.MEMBER_INVITE: Rule("invite people", _ADMIN),
    Action.MEMBER_ADD: Rule("add members", _ADMIN),
    Action.MEMBER_SUSPEND: Rule("suspend and restore members", _ADMIN),
    Action.MEMBER_REMOVE: Rule("remove members", _ADMIN, or_own=True),
    Action.ROLE_GRANT: Rule("give roles", _MAINTAIN | {Role.OPERATOR}),
    Action.ROLE_REVOKE: Rule("take roles", _MAINTAIN | {Role.OPERATOR}),
    Action.SERVICE_ACCOUNT_MANAGE: Rule("create service accounts and issue their tokens", _ADMIN),
    Action.AUDIT_READ: Rule("read the timeline", _ADMIN),
    Action.AUDIT_EXPORT: Rule("export the audit", _ADMIN),
    Action.WEBHOOK_MANAGE: Rule("manage webhooks", _ADMIN),
    Action.SECURITY_VIEW: Rule("see the security page", _EVERYBODY),
    Action.PROJECT_VIEW: Rule("see a project", _SEE),
    Action.PROJECT_CREATE: Rule("create projects", _ADMIN | {Role.DEVELOPER}),
    Action.PROJECT_ARCHIVE: Rule("archive a project", _MAINTAIN),
    Action.REPOSITORY_MANAGE: Rule("add and remove repositories", _MAINTAIN),
    Action.FORGE_APP_MANAGE: Rule("register forge apps and say which repositories they read", _ADMIN),
    Action.CONTRACT_APPROVE: Rule("approve contracts", _MAINTAIN),
    Action.BINDING_CHANGE: Rule("bind inputs to their sources", _MAINTAIN),
    Action.RESOURCE_MODE_CHANGE: Rule("choose how a resource is provided", _MAINTAIN),
    Action.SECRET_VIEW: Rule("see secrets' names and versions", _WORK),
    Action.SECRET_CHANGE: Rule("set, rotate and delete secrets", _MAINTAIN),
    Action.CUSTOMER_ROLE_MANAGE: Rule("import secrets through roles in your own account", _ADMIN),
    Action.WORKSPACE_VIEW: Rule("see a workspace", _OBSERVE),
    Action.WORKSPACE_CREATE: Rule("open workspaces", _WORK),
    Action.WORKSPACE_ARCHIVE: Rule("archive a workspace", _OPERATE),
    Action.WORKSPACE_DELETE: Rule("delete a workspace and its data", _OPERATE),
    Action.DATA_DELETE: Rule("delete the data of a managed resource", _OPERATE),
    Action.SHELL_CONNECT: Rule("connect to the shell", _ENTER),
    Action.CONSOLE_FORWARD: Rule("reach private consoles by SSH forwarding", _ENTER),
    Action.RUNTIME_WAKE: Rule("wake the runtime", _USE),
    Action.RUNTIME_SLEEP: Rule("put the runtime to sleep", _USE),
    Action.COMMAND_RUN: Rule("run commands", _USE),
    Action.COMMAND_OUTPUT_READ: Rule("read commands' output", _USE),
    Action.LOG_READ: Rule("read services' logs", _USE),
    Action.RECEIPT_VIEW: Rule("see receipts and the command history", _OBSERVE),
    Action.DEV_LINK_VIEW: Rule("see dev links", _OBSERVE),
    Action.DEV_LINK_ISSUE: Rule("issue dev links", _ENTER, conditions=(public,)),
    Action.DEV_LINK_REVOKE: Rule("revoke dev links", _OPERATE, or_own=True),
    Action.DEV_LINK_CHANGE: Rule("rotate dev links and change what they open", _OPERATE, or_own=True),
    Action.DEV_LINK_SET_POLICY: Rule("set the policy for dev links", _ADMIN),
    Action.DEV_URL_OPEN: Rule("open dev URLs with one's own sign-in", _OBSERVE, conditions=(public,)),
    Action.PLACEMENT_VIEW: Rule("see on which VMs of the organization workspaces are", _SEE),
    Action.PLACEMENT_EXPORT: Rule("export the placement history", _ADMIN),
    Action.HOST_DEDICATE: Rule("ask for a VM per workspace", _ADMIN),
    Action.USAGE_VIEW: Rule("see awake time and sizes", _EVERYBODY),
    Action.BILLING_VIEW: Rule("see money", _MONEY),
    Action.CAP_SET: Rule("set usage caps", _MONEY),
    Action.ROOT_SET_POLICY: Rule("set the root policy", _OWNER),
    Action.ROOT_REQUEST: Rule("ask for root", _ENTER, conditions=(root_open,)),
    Action.ROOT_APPROVE: Rule("approve root", _ADMIN, conditions=(root_open, not_involved)),
    Action.TAILNET_CONNECT: Rule("connect and disconnect the tailnet", _ADMIN),
    Action.TAILNET_SET_MODE: Rule("set a workspace's private access", _OPERATE),
}

# By which action an actor sees the target of a refusal at all; whoever may not do that gets a 404 (I5).
SEEN_BY: dict[str, Action] = {
    "project": Action.PROJECT_VIEW,
    "secret": Action.SECRET_VIEW,
    "workspace": Action.WORKSPACE_VIEW,
}

# What support may do inside a visit, and nothing else (N3).
SUPPORT_MAY = frozenset({Action.ORGANIZATION_VIEW, Action.AUDIT_READ})
