"""This app's own parts of a workspace's page (`workspaces.page_parts`): its latest commands, and who is connected."""

from collections.abc import Mapping
from typing import Any

from envforge.actor import Actor
from orgs.policy import Action
from workspaces.console.commands import offered, row
from workspaces.models import Workspace
from workspaces.page_parts import Part
from workspaces.selectors import commands, shells


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
SHELL = Part("shell", "side", 10, "workspaces/_shell.html", shell_part)
