"""Every write to the sessions of console and admin: beginning, being used, ending. All of it is told to the platform's chain, since a
person who signs in is in no organization at that moment."""

import secrets
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit.append import append_platform
from audit.kinds import EventKind
from envforge import metrics
from envforge.actor import SYSTEM, Actor, Target, UserActor
from envforge.errors import NotVisible
from envforge.surfaces import CONSOLE, Surface
from envforge.windows import Window
from orgs import operations
from orgs.digests import digest
from orgs.endings import sign_in_ended
from orgs.identity import Identity, SignInRefused
from orgs.models import ConsoleSession
from orgs.offboarding import Closing

REFUSALS_WINDOW_S = 60
IDLE_LIMIT, LIFETIME = ConsoleSession.IDLE_LIMIT, ConsoleSession.LIFETIME
SWEEP_SIZE = 500


def start_session(
    *, identity: Identity, browser: str, surface: Surface = CONSOLE
) -> tuple[ConsoleSession, str]:
    """Sign a person in; the second part of the answer is the session's key, which exists nowhere else.

    The key is always new: nothing a browser held before becomes a signed-in session.

    Raises:
        SignInRefused: the person is not active.
    """
    key = secrets.token_urlsafe(32)
    now = timezone.now()
    with transaction.atomic():
        person = operations.remember_person(
            issuer=identity.issuer,
            subject=identity.subject,
            email=identity.email,
            email_verified=identity.email_verified,
            name=identity.name,
        )
        if person.is_active:
            session = ConsoleSession.objects.create(
                person=person,
                key_digest=digest(key),
                surface=surface.name,
                browser=browser,
                created_at=now,
                last_seen_at=now,
            )
            append_platform(
                EventKind.SESSION_STARTED, actor=person.as_actor(), target=person, surface=surface.name
            )
            return session, key
        _tell_refusal("inactive", person.as_target())
    raise SignInRefused("inactive")


def refuse_sign_in(*, reason: str, surface: Surface = CONSOLE) -> None:
    """Record a sign-in that did not come about; at most once per reason and minute, for anybody can cause it."""
    metrics.SIGN_INS_REFUSED.labels(reason=reason).inc()
    window = Window("sign-in-refused", (surface.name, reason), REFUSALS_WINDOW_S)
    if not window.is_recorded():
        with transaction.atomic():
            _tell_refusal(reason, surface.as_target())
            window.mark_after_commit()


def see_session(*, session: ConsoleSession) -> None:
    """Note that the session is in use, to within `SEEN_STEP`."""
    now = timezone.now()
    if now - session.last_seen_at >= ConsoleSession.SEEN_STEP:
        ConsoleSession.objects.filter(id=session.id, ended_at=None).update(last_seen_at=now)


def end_session(*, actor: UserActor, session_id: UUID, cause: str) -> None:
    """End one of the actor's own sessions; one that has ended stays as it is.

    Raises:
        NotVisible: the actor has no such session.
    """
    with transaction.atomic():
        session = _own(actor).filter(id=session_id).first()
        if session is None:
            raise NotVisible
        _end(actor, [session], cause)


def end_other_sessions(*, actor: UserActor, kept: UUID) -> int:
    """End all of the actor's sessions but one; answers how many that were."""
    with transaction.atomic():
        others = list(_own(actor).filter(ended_at=None).exclude(id=kept))
        _end(actor, others, "ended_elsewhere")
    return len(others)


def end_overdue_sessions() -> int:
    """A sweep: record the end of sessions that time has ended (they stopped working by themselves)."""
    now = timezone.now()
    live = ConsoleSession.objects.select_for_update(skip_locked=True, of=("self",)).select_related("person")
    live = live.filter(ended_at=None)
    idle = live.filter(last_seen_at__lte=now - ConsoleSession.IDLE_LIMIT)
    old = live.filter(created_at__lte=now - ConsoleSession.LIFETIME)
    swept = 0
    for due in (idle, old):
        with transaction.atomic():
            for session in due[:SWEEP_SIZE]:
                _end(SYSTEM, [session], session.why_over(now))
                swept += 1
    return swept


def count_sessions(closing: Closing) -> int:
    """How many sessions `close_sessions` would end."""
    return _of_the_leaving(closing).count()


def close_sessions(closing: Closing) -> int:
    """End every session of a member who is removed or suspended; elsewhere they may sign in again (I4)."""
    theirs = list(_of_the_leaving(closing).select_for_update(of=("self",)).select_related("person"))
    _end(closing.actor, theirs, "removed" if closing.for_good else "suspended")
    return len(theirs)


def _of_the_leaving(closing: Closing) -> "QuerySet[ConsoleSession]":
    theirs = ConsoleSession.objects.filter(
        ConsoleSession.in_use_at(timezone.now()), person_id=closing.person_id
    )
    # Whoever leaves by themselves stays signed in: they may be in other organizations.
    return theirs.exclude(person_id__in=closing.actor.people).order_by("id")


def _own(actor: UserActor) -> "QuerySet[ConsoleSession]":
    own = ConsoleSession.objects.select_for_update(of=("self",)).select_related("person")
    return own.filter(person_id=actor.person_id)


def _end(actor: Actor, sessions: list[ConsoleSession], cause: str) -> None:
    for session in sessions:
        if session.ended_at is None:
            session.ended_at, session.cause = timezone.now(), cause
            session.save(update_fields=["ended_at", "cause"])
            sign_in_ended(session.id)
            append_platform(
                EventKind.SESSION_ENDED,
                actor=actor,
                target=session.person,
                surface=session.surface,
                cause=cause,
            )


def _tell_refusal(reason: str, target: Target) -> None:
    append_platform(EventKind.SIGN_IN_REFUSED, actor=SYSTEM, target=target, reason=reason)
