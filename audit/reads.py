"""Reading the audit is itself audited (A3)."""

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor, HasTarget
from envforge.windows import first_in_window

WINDOW_S = 3600


def record_read(*, actor: Actor, target: HasTarget, filters: int = 0) -> None:
    """Append `audit.read` for a look at the events; once an hour, actor and number of filters, or the looks would be all
    there is to see."""
    chain = str(tenancy.current_org())
    if first_in_window("audit-read", chain, actor.kind, actor.id, str(filters), window_s=WINDOW_S):
        append(EventKind.AUDIT_READ, actor=actor, target=target, filters=filters)
