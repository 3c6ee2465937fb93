"""Refusals of something visible become events, in a transaction of their own after the refused one rolled back."""

from audit.append import append
from audit.kinds import EventKind
from envforge import metrics, tenancy
from envforge.errors import Denial
from envforge.windows import Window

WINDOW_S = 60


def record(denial: Denial) -> None:
    """Append `access.denied`, at most once per actor, action, target and minute, so that a flood stays a line."""
    metrics.DENIALS.labels(action=denial.action).inc()
    asked = (denial.actor.kind, denial.actor.id, denial.action, denial.target.kind, denial.target.id)
    window = Window("denial", (str(denial.org_id), *asked), WINDOW_S)
    if window.is_recorded():
        return
    with tenancy.enter(denial.org_id):
        append(
            EventKind.ACCESS_DENIED,
            actor=denial.actor,
            target=denial.target,
            action=denial.action,
            rule=denial.rule,
        )
        window.mark_after_commit()
