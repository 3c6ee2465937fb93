"""Taking the outbox one step further: send, try later, give up, forget. Safe to run twice, at any time, anywhere.

An attempt is taken (and its row put off) in one transaction, the letter handed over outside of any, and the outcome
recorded in another. A worker that dies between the last two has sent a letter that is sent again later, under the same
Message-ID; one that dies earlier has sent nothing.
"""

import time
from datetime import timedelta
from enum import Enum, auto
from uuid import UUID

import structlog
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import SYSTEM, Target
from notices import letters, smtp
from notices.lookups import organizations_with_due_email
from notices.models import Email
from orgs.models import Person

FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=6)
# With these delays the last attempt is about a day after the first.
MAX_ATTEMPTS = 12
# A row tells support what became of a notice, and then goes: it holds an address.
KEPT = timedelta(days=30)

SWEEP_ORGANIZATIONS = 100
SWEEP_ROWS_AN_ORGANIZATION = 50
# Ends well before the broker would hand the sweep to another worker.
SWEEP_S = 30

log = structlog.get_logger(__name__)


class Step(Enum):
    """What one step came to."""

    NOTHING_DUE = auto()
    SENT = auto()
    LATER = auto()
    SERVER_AWAY = auto()
    GIVEN_UP = auto()
    FORGOTTEN = auto()


def send(org_id: UUID, email_id: UUID) -> Step:
    """Take the step that is due for one e-mail of an organization."""
    with tenancy.enter(org_id):
        email = Email.objects.select_for_update(skip_locked=True).filter(id=email_id).first()
        if email is None or email.due_at > timezone.now():
            return Step.NOTHING_DUE
        if email.sent_at or email.given_up_at:
            email.delete()
            return Step.FORGOTTEN
        if email.attempts >= MAX_ATTEMPTS:
            # The last attempt was taken and never recorded.
            return _give_up(email, "interrupted")
        email.attempts += 1
        email.due_at = timezone.now() + _delay(email.attempts)
        email.save(update_fields=["attempts", "due_at"])
    try:
        with tenancy.enter(org_id):
            letter = letters.write(email)
        smtp.deliver(letter)
    except letters.Undeliverable as error:
        return _end(email, error.reason, expected=error.expected)
    except smtp.DeliveryFailed as error:
        return _failed(email, error)
    with tenancy.enter(org_id):
        now = timezone.now()
        # Sent is sent, whatever another worker has taken or recorded meanwhile.
        Email.objects.filter(id=email_id, sent_at=None).update(
            sent_at=now, given_up_at=None, due_at=now + KEPT, last_error=""
        )
    log.info("email.sent", email=str(email_id), kind=email.kind, attempts=email.attempts)
    return Step.SENT


def sweep() -> int:
    """Take every step that is due, as far as the time allows; answers how many were taken.

    Costs as much as is due, whatever exists. Stops at the first letter for which the server is away: the others keep
    their attempts.
    """
    ends_at = time.monotonic() + SWEEP_S
    taken = 0
    for org_id in organizations_with_due_email(SWEEP_ORGANIZATIONS):
        for email_id in _due(org_id):
            if time.monotonic() > ends_at:
                return taken
            try:
                step = send(org_id, email_id)
            except Exception:
                # One row that cannot be written must not keep the others; its attempt is taken, so it ends some day.
                log.exception("email.failed", email=str(email_id))
                continue
            taken += step is not Step.NOTHING_DUE
            if step is Step.SERVER_AWAY:
                return taken
    return taken


def _due(org_id: UUID) -> list[UUID]:
    with tenancy.enter(org_id):
        due = Email.objects.filter(org_id=org_id, due_at__lte=timezone.now()).order_by("due_at")
        return list(due.values_list("id", flat=True)[:SWEEP_ROWS_AN_ORGANIZATION])


def _delay(attempts: int) -> timedelta:
    return min(FIRST_DELAY * (1 << (attempts - 1)), LONGEST_DELAY)


def _failed(email: Email, error: smtp.DeliveryFailed) -> Step:
    if error.permanent or email.attempts >= MAX_ATTEMPTS:
        return _end(email, error.reason, expected=False)
    with tenancy.enter(email.org_id):
        # Where somebody else has taken the next attempt meanwhile, theirs is what counts.
        Email.objects.filter(id=email.id, attempts=email.attempts, sent_at=None).update(
            last_error=error.reason
        )
    log.warning(
        "email.later", email=str(email.id), kind=email.kind, attempts=email.attempts, reason=error.reason
    )
    return Step.SERVER_AWAY if error.server_away else Step.LATER


def _end(email: Email, reason: str, *, expected: bool) -> Step:
    with tenancy.enter(email.org_id):
        current = Email.objects.select_for_update().filter(id=email.id, attempts=email.attempts).first()
        if current is None or current.sent_at or current.given_up_at:
            return Step.NOTHING_DUE
        return _give_up(current, reason, told=not expected)


def _give_up(email: Email, reason: str, *, told: bool = True) -> Step:
    now = timezone.now()
    email.given_up_at, email.due_at, email.last_error = now, now + KEPT, reason
    email.save(update_fields=["given_up_at", "due_at", "last_error"])
    if told:
        facts = {"notice": email.kind, "reason": reason, "attempts": email.attempts}
        append(EventKind.NOTICE_FAILED, actor=SYSTEM, target=_target(email), **facts)
    log.warning("email.given_up", email=str(email.id), kind=email.kind, reason=reason)
    return Step.GIVEN_UP


def _target(email: Email) -> Target:
    if email.to_person_id is None:
        return Target("email_address", email.to_address, email.to_address)
    return Person.objects.get(id=email.to_person_id).as_target()
