"""This app's own parts of a workspace's page (`workspaces.page_parts`): its latest commands, its resources, and who is connected."""

from collections.abc import Mapping
from typing import Any

from envforge.actor import Actor
from orgs.policy import Action
from projects.choices import Mode
from workspaces.console.commands import offered, row
from workspaces.console.words import HEALTH
from workspaces.models import Workspace
from workspaces.page_parts import Part
from workspaces.selectors import commands, resources, shells


def commands_part(actor: Actor, workspace: Workspace) -> Mapping[str, Any] | None:
    """The latest commands, and a form to run another; None for whoever may not see receipts."""
    found = commands.latest(actor, workspace)
    if found is None:
        return None
    runs, choices, may = found
    return {
        "rows": [row(view) for view in runs],
        "choices": offered(choices),
        "may_run": may[Action.COMMAND_RUN].allowed,
    }


def resources_part(actor: Actor, workspace: Workspace) -> Mapping[str, Any] | None:
    """What its services' contracts ask for beside them; None where they ask for nothing, and for whoever may not see receipts."""
    views = resources.of_workspace(actor, workspace)
    if not views:
        return None
    return {"rows": [{"view": view, "words": _state(view)} for view in views]}


def _state(view: resources.ResourceView) -> tuple[str, str]:
    """How it stands, with the colour of it."""
    if view.mode is None:
        return ("how it is provided is not chosen yet", "hollow")
    if view.mode != Mode.MANAGED_LOCAL:
        return ("not there" if view.mode == Mode.DISABLED else "not run by EnvForge", "hollow")
    if view.awake and view.health:
        return HEALTH[view.health]
    if view.awake:
        return ("nothing in this wake uses it", "hollow")
    return ("waits for the runtime to be awake", "asleep")


def shell_part(actor: Actor, workspace: Workspace) -> Mapping[str, Any] | None:
    """Who is connected; None for whoever may not see receipts."""
    may = shells.may_of(actor, workspace)
    if not may[Action.RECEIPT_VIEW].allowed:
        return None
    sessions = shells.sessions_of(actor, workspace, may, shells.LATEST)
    return {
        "open": [one for one in sessions if one.disconnected_at is None],
        "may_connect": may[Action.SHELL_CONNECT].allowed,
    }


COMMANDS = Part("commands", "main", 20, "workspaces/_commands.html", commands_part)
RESOURCES = Part("resources", "main", 10, "workspaces/_resources.html", resources_part)
SHELL = Part("shell", "side", 10, "workspaces/_shell.html", shell_part)
