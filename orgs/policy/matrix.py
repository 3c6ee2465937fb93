"""The policy's table in rows and columns, for the roles page and the document (P2)."""

from collections.abc import Collection
from dataclasses import dataclass

from orgs.policy.actions import Action
from orgs.policy.table import RULES
from orgs.roles import ROLES_OF, SAYS, Role, Scope

OWN_NOTE = "or for what is one's own: one's membership, one's own dev links"
_GROUPS: dict[str, tuple[str, ...]] = {
    "Organization and people": ("organization", "member", "role", "service_account", "webhook", "security"),
    "Timeline": ("audit",),
    "Projects and secrets": (
        "project",
        "repository",
        "forge_app",
        "contract",
        "binding",
        "resource",
        "secret",
        "customer_role",
    ),
    "Workspaces": ("workspace", "shell", "console", "runtime", "command", "log", "receipt"),
    "Dev links": ("dev_link", "dev_url"),
    "Machines and money": ("placement", "host", "usage", "billing", "cap"),
    "Root and private access": ("root", "tailnet"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A role, where it is held, and what it is in words."""

    role: Role
    scope: Scope
    says: str


@dataclass(frozen=True, slots=True)
class Cell:
    """Whether a role allows an action."""

    role: Role
    allowed: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One action across the roles; `notes` are numbers of footnotes."""

    action: Action
    says: str
    cells: tuple[Cell, ...]
    notes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Actions that belong together."""

    title: str
    rows: tuple[Row, ...]


def columns() -> tuple[Column, ...]:
    """The roles from the widest scope to the narrowest."""
    return tuple(
        Column(role, scope, SAYS[role]) for scope in Scope for role in Role if role in ROLES_OF[scope]
    )


def footnotes() -> tuple[str, ...]:
    """What must hold besides a role; a row's notes count from one."""
    return (OWN_NOTE, *(f"refused where: {why}" for why in _conditions()))


def groups() -> tuple[Group, ...]:
    """Every action of the table, once."""
    return tuple(Group(title, tuple(_row(action) for action in actions)) for title, actions in _grouped())


def scope_groups(offered: Collection[Action] = tuple(Action)) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a token's scopes are chosen from: actions and their words, by group."""
    groups = [
        (title, [(one.value, RULES[one].says) for one in actions if one in offered])
        for title, actions in _grouped()
    ]
    return [(title, choices) for title, choices in groups if choices]


def _grouped() -> list[tuple[str, list[Action]]]:
    return [
        (title, [action for action in Action if action.value.split(".")[0] in nouns])
        for title, nouns in _GROUPS.items()
    ]


def _row(action: Action) -> Row:
    rule = RULES[action]
    whys = list(_conditions())
    notes: tuple[int, ...] = (1,) if rule.or_own else ()
    notes += tuple(whys.index(condition.why) + 2 for condition in rule.conditions)
    return Row(action, rule.says, tuple(Cell(one.role, one.role in rule.roles) for one in columns()), notes)


def _conditions() -> dict[str, None]:
    return dict.fromkeys(condition.why for rule in RULES.values() for condition in rule.conditions)
