"""Reading the audit is itself audited (A3)."""

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor, HasTarget
from envforge.windows import Window

WINDOW_S = 3600


def record_read(*, actor: Actor, target: HasTarget, filters: int = 0) -> None:
    """Append `audit.read` for a look at the events; once an hour, actor and number of filters, or the looks would be all
    there is to see."""
    looked = (str(tenancy.current_org()), actor.kind, actor.id, str(filters))
    window = Window("audit-read", looked, WINDOW_S)
    if not window.is_recorded():
        append(EventKind.AUDIT_READ, actor=actor, target=target, filters=filters)
        window.mark_after_commit()
