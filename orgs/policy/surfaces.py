"""What can be reached over which surface (P2). Each allowed act names the policy's action that decides it, where one does."""

from dataclasses import dataclass

from orgs.policy.actions import Action
from orgs.policy.table import RULES


@dataclass(frozen=True, slots=True)
class Surface:
    """A way in: who comes by it, the actions it offers, what else it shows, and what it never does."""

    name: str
    who: str
    actions: tuple[Action, ...]
    shows: tuple[str, ...]
    blocked: tuple[str, ...]

    @property
    def allowed(self) -> tuple[str, ...]:
        """What one can do there, in words."""
        return (*(RULES[action].says for action in self.actions), *self.shows)


SURFACES: tuple[Surface, ...] = (
    Surface(
        "CLI and dashboard",
        "members and service accounts, each signed in as themselves",
        tuple(Action),
        (),
        (
            "another organization's anything: it looks as if it did not exist",
            "a secret's value: names and versions alone are shown",
            "a VM's own name, address and login: it has a number of EnvForge's alone",
        ),
    ),
    Surface(
        "Signed dev link",
        "a reviewer with a link, who is no member and no actor",
        (),
        ("the one service that the link is of, on the paths that it opens",),
        (
            "every action of the roles table",
            "other services, workspaces and organizations",
            "shell, consoles, databases and logs",
        ),
    ),
    Surface(
        "Tailscale private access",
        "devices of the organization's own tailnet, for a connected workspace",
        (Action.DEV_URL_OPEN, Action.CONSOLE_FORWARD, Action.SHELL_CONNECT),
        (),
        (
            "workspaces that are not connected",
            "the runtime host's own services",
            "signed dev links to a workspace that is private only",
        ),
    ),
    Surface(
        "Runtime host",
        "nobody: EnvForge's own daemon alone acts there",
        (),
        (),
        ("a login for members", "cloud credentials", "a VM shared with another organization"),
    ),
)
