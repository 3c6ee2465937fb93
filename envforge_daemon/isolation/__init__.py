"""The walls between an organization's workspaces, and between them and the VM (THREATS H1, H2, H3).

    walls = await isolation.raise_walls(config)       # once, before anything else; `walls.missing` says what cannot be had here
    workspaces = isolation.Workspaces(config, walls)
    workspace = await workspaces.ensure(wire)         # accounts, namespace, firewall, probe: raises before anything could start
    process = await workspace.spawn(("node", "app.js"), account=1, group="service-web", env=..., limits=...)
    ran = await workspace.run(("git", "status"), account=SHELL, env=...)
    await workspace.kill_all("service-web")

Groups are named by whoever spawns: `service-NAME`, `shell-SESSION`, `run-ID`; `kill_all` takes a name or, with a `*` at its
end, all that begin so.
"""

from envforge_daemon.isolation.accounts import SHELL, Account
from envforge_daemon.isolation.processes import Process, Ran
from envforge_daemon.isolation.walls import Walls, raise_walls
from envforge_daemon.isolation.workspace import Workspace
from envforge_daemon.isolation.workspaces import Workspaces
from envforge_protocol.host.reports import Wall

__all__ = [
    "SHELL",
    "Account",
    "Process",
    "Ran",
    "Wall",
    "Walls",
    "Workspace",
    "Workspaces",
    "raise_walls",
]
