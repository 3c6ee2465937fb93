"""What was refused to whoever came by a link: told once per link, cause and period, so that a flood stays a line (L9)."""

from uuid import UUID

from audit.append import append
from audit.kinds import EventKind
from devlinks.models import DevLink
from envforge import metrics, tenancy
from envforge.actor import SYSTEM
from envforge.windows import Window

WINDOW_S = 600


def tell(org_id: UUID, link_id: UUID, word: str) -> None:
    """Append `dev_link.denied`, at most once per link, word and `WINDOW_S`. Call it outside of the refused transaction."""
    metrics.LINK_DENIALS.labels(reason=word).inc()
    window = Window("dev_link.denied", (str(link_id), word), WINDOW_S)
    if window.is_recorded():
        return
    with tenancy.enter(org_id):
        link = DevLink.objects.select_related("workspace").filter(id=link_id).first()
        if link is None:
            return
        append(EventKind.DEV_LINK_DENIED, actor=SYSTEM, target=link, link_id=link.id, reason=word)
        window.mark_after_commit()
