"""A month's usage as a made file: one receipt a row, on record before anybody has a byte of it (docs/decisions/0004-exports.md, B2)."""

from collections.abc import Generator
from tempfile import TemporaryFile
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.facts import rfc3339
from audit.kinds import EventKind
from envforge.actor import Actor
from envforge.errors import Invalid
from orgs.policy import Action
from orgs.selectors import visible
from timeline.deliveries import Order
from timeline.limits import Listener, Made
from timeline.rows import Form, Row, write
from workspaces import prices
from workspaces.months import Month
from workspaces.selectors.windows import WindowView, count_of_month, of_month

COLUMNS = (
    *("project", "workspace", "workspace_name", "wake", "size", "cause", "end_cause", "cap"),
    *("from", "until", "awake_s", "disputed_s", "charged_s"),
)
MONEY = ("cost", "currency")
TOO_MANY = "There are too many wakes for one file. Choose one workspace after the other."


def order(*, actor: Actor, slug: str, form: Form, month: Month | None, workspace_id: UUID | None) -> Order:
    """An order of a month's receipts, the present month's without; policy is asked when it is made."""
    wanted = month or Month.of(timezone.now())
    return Order(
        actor=actor,
        make=lambda tell: make_export(
            actor=actor, slug=slug, form=form, month=wanted, workspace_id=workspace_id, tell=tell
        ),
        file_name=form.file_name(slug, f"usage-{wanted}"),
        file_type=form.content_type,
    )


def make_export(
    *, actor: Actor, slug: str, form: Form, month: Month, workspace_id: UUID | None, tell: Listener
) -> Made:
    """Write the receipts that the actor may see to a file that vanishes when it is closed; money for whoever may see that.

    Times are UTC; seconds are those within the month, and what is awake yet counts up to now, without an `until`. A cost is exact to
    the hundredth of a hundredth, so that sums of rows agree with the page's.

    Raises:
        NotVisible, NotAllowed: see `selectors.usage`.
        Invalid: it takes too long.
        Unavailable: there is no room for it.
        Abandoned: the listener said so; nothing is recorded.
    """
    file = TemporaryFile("w+b")  # noqa: SIM115 - it is the caller's to close
    try:
        with visible(actor, slug, Action.BILLING_VIEW) as (found, answers):
            priced = answers[Action.BILLING_VIEW].allowed and bool(prices.rows())
            total = count_of_month(actor, found, month, workspace_id)
            windows = of_month(actor, found, month, workspace_id, priced=priced)
            count = write(
                file,
                _rows(windows),
                (*COLUMNS, *MONEY) if priced else COLUMNS,
                form,
                total=total,
                tell=tell,
                too_many=Invalid(TOO_MANY, {"workspace": TOO_MANY}),
            )
            append(
                EventKind.USAGE_EXPORTED,
                actor=actor,
                target=found,
                form=form.value,
                month=str(month),
                windows=count,
            )
        size = file.tell()
        file.seek(0)
        return Made(file, size, count)
    except BaseException:
        file.close()
        raise


def _rows(windows: Generator[WindowView]) -> Generator[Row]:
    for one in windows:
        yield {
            "project": one.project,
            "workspace": str(one.workspace_id),
            "workspace_name": one.workspace,
            "wake": one.number,
            "size": one.size,
            "cause": one.cause,
            "end_cause": one.end_cause or None,
            "cap": one.cap_mode,
            "from": rfc3339(one.opened_at),
            "until": rfc3339(one.closed_at) if one.closed_at else None,
            "awake_s": one.within.seconds,
            "disputed_s": one.within.disputed_s,
            "charged_s": one.within.charged_s,
            "cost": f"{one.cost.exact:.4f}" if one.cost else None,
            "currency": one.cost.currency if one.cost else None,
        }
