"""A ready share link to Acme's first workspace, where there is one whose services take links; the address is kept for `./dev up` to say."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from devlinks.ending import open_links
from devlinks.operations.links import issue_dev_link
from devlinks.services import linkable_services
from envforge import tenancy
from envforge.actor import Actor
from local_cloud.home import write_private
from workspaces.models import Presence, Workspace

NAME = "A first look"
LIVES = timedelta(days=7)


def seed_link(kept: Path, *, org_id: UUID, owner: Actor) -> None:
    """Issue the link, unless the one that was issued before is open still and its address is at hand."""
    with tenancy.enter(org_id):
        is_open = open_links().filter(name=NAME).exists()
        present = Workspace.objects.filter(wanted=Presence.PRESENT).order_by("opened_at")
        offered = [(one.id, linkable_services(one)) for one in present[:5]]
    if is_open and kept.exists():
        return
    kept.unlink(missing_ok=True)
    for workspace_id, services in offered:
        # The one with pages of its own, where one service leads on to another.
        for service in sorted(services, key=lambda one: -len(one.routes.forward))[:1]:
            issued = issue_dev_link(
                actor=owner,
                org_id=org_id,
                workspace_id=workspace_id,
                service=service.service,
                lifetime=LIVES,
                name=NAME,
            )
            write_private(kept, {"address": issued.address.reveal_text(), "service": service.service})
            return
