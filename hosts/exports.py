"""The placement history as a made file: on record before anybody has a byte of it (docs/decisions/0004-exports.md, V2)."""

from tempfile import TemporaryFile

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import Actor
from envforge.errors import Invalid
from hosts import history
from hosts.history import ALWAYS, Period
from orgs import policy
from orgs.policy import Action
from orgs.selectors import visible
from timeline.deliveries import Order
from timeline.limits import Listener, Made
from timeline.rows import Form, write

TOO_MANY = (
    "There are too many placements for one file. Choose shorter periods over the API, one after the other."
)


def order(*, actor: Actor, slug: str, form: Form, period: Period = ALWAYS) -> Order:
    """An order of the history of a period; policy is asked when it is made."""
    return Order(
        actor=actor,
        make=lambda tell: make_export(actor=actor, slug=slug, form=form, period=period, tell=tell),
        file_name=form.file_name(slug, "placements"),
        file_type=form.content_type,
    )


def make_export(*, actor: Actor, slug: str, form: Form, period: Period, tell: Listener) -> Made:
    """Write the organization's placements to a file that has no name and vanishes when it is closed.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
        Invalid: it takes longer than `LONGEST_S`.
        Unavailable: there is no room for it.
        Abandoned: the listener said so; nothing is recorded.
    """
    file = TemporaryFile("w+b")  # noqa: SIM115 - it is the caller's to close
    try:
        with visible(actor, slug) as (found, _):
            policy.require(actor, Action.PLACEMENT_EXPORT, found)
            total = history.placements(period).count()
            rows = history.export_lines(found.id, period)
            count = write(
                file,
                rows,
                history.COLUMNS,
                form,
                total=total,
                tell=tell,
                too_many=Invalid(TOO_MANY, {"since": TOO_MANY}),
            )
            append(EventKind.PLACEMENT_EXPORTED, actor=actor, target=found, form=form.value, placements=count)
        size = file.tell()
        file.seek(0)
        return Made(file, size, count)
    except BaseException:
        file.close()
        raise
