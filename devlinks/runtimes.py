"""What this app hears of runtimes, and what it holds up until no gateway leads there any more (THREATS G2)."""

from devlinks.purges import purge
from workspaces.routes import RouteChange


def route_changed(change: RouteChange) -> None:
    """Routes came: decisions that say "asleep" are forgotten. Routes went: whatever leads there is cut."""
    if change.present:
        purge("workspace", change.workspace_id, reason="awake", cut=False)
    else:
        purge("route", change.workspace_id, reason="asleep", epoch=change.epoch)
