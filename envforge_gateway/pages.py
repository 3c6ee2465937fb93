"""What people are told when they do not get the app: why, and what to do next. Programs get the same as JSON."""

import html
from collections.abc import Sequence
from urllib.parse import quote

from envforge_gateway import answers, looks
from envforge_gateway.answers import Answer
from envforge_gateway.config import Config
from envforge_gateway.requests import Request
from envforge_protocol.gateway.waking import Step

_ASK = "Ask whoever sent you the link for a new one."
# Status, title, sentences.
REFUSED: dict[str, tuple[int, str, tuple[str, ...]]] = {
    "no_session": (
        401,
        "This page needs a link",
        ("You can see it with a link from somebody of its team. Open the link you were sent again.",),
    ),
    "expired": (410, "This link has ended", ("Links last for a set time, and this one is over.", _ASK)),
    "revoked": (410, "This link was withdrawn", ("Whoever shared it has closed it.", _ASK)),
    "rotated": (410, "This link was replaced", ("There is a newer one in its place.", _ASK)),
    "signed_out": (401, "You are signed out", ("Sign in again to see this page.",)),
    "not_allowed": (
        403,
        "You may not see this page",
        ("Your role in this workspace does not include it. Ask somebody who administers it.",),
    ),
    "suspended": (403, "This is closed for now", ("The team behind it has paused its links.",)),
    "tailscale_only": (
        403,
        "This workspace is private",
        ("It is open inside its team's private network alone; links do not lead there.",),
    ),
    "gone": (410, "This is not there any more", ("What the link led to was removed.", _ASK)),
    "code": (400, "This step is over", ("It can be taken once, within a minute. Open the link again.",)),
    "state": (400, "This step began elsewhere", ("Open the link again in this browser.",)),
    "cap": (
        503,
        "Asleep until next month",
        ("The team's hours for this month are used up, so it does not wake.",),
    ),
    "wake_budget": (503, "Asleep", ("This link may not wake it any more. " + _ASK,)),
    "paused": (503, "Asleep", ("It is not woken by links at the moment.",)),
    "failed": (503, "It did not come up", ("Its team can see why. Try again later.",)),
    "link": (404, "This link does not hold", ("It may be cut off or mistyped. " + _ASK,)),
    "asleep": (503, "Asleep", ("It fell asleep while nobody used it. Open the page again to wake it.",)),
}
_GENERAL = (403, "This link does not open the page", (_ASK,))
_TRANSIENT = frozenset({"cap", "wake_budget", "paused", "failed", "asleep", "code", "state"})
_SIGN_IN_HELPS = frozenset({"no_session", "signed_out", "expired", "revoked", "rotated"})
DENIED: dict[str, tuple[str, str]] = {
    "surface": ("Not part of this link", "The link opens other parts of this app, and not this one."),
    "sibling": ("Not from another page", "Another site asked for this page in your name; that is refused."),
    "path": ("This address is not clear", "It can be read in more than one way, so it is not passed on."),
}
BROKEN: dict[str, tuple[str, str]] = {
    "connect": (
        "The app does not answer",
        "Its workspace is awake, but nothing listens there. It may be restarting.",
    ),
    "no_service": ("The app is not running", "Its workspace is awake, but this service is not up."),
    "connect_timeout": ("The app does not answer", "Its machine did not take the connection in time."),
    "first_byte_timeout": ("The app takes too long", "It took the request and has not begun to answer."),
    "closed": ("The app hung up", "It closed the connection before it answered."),
}
_BROKEN_GENERAL = ("The app's answer is broken", "What it sent is no answer that can be passed on.")


class Pages:
    """Pages and problems, as one gateway words them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.sign_in: str | None = None

    def refused(self, request: Request, word: str) -> Answer:
        """The session, or the link, does not hold."""
        status, title, sentences = REFUSED.get(word, _GENERAL)
        lines = [] if word in _TRANSIENT else [answers.CLEAR]
        if not request.wants_page:
            retry = 60 if status == 503 else None
            return answers.problem(
                request, status, word, detail=f"{title}. {sentences[0]}", lines=lines, retry_after_s=retry
            )
        if word not in _TRANSIENT and request.digest is not None:
            # Not for what a page asks by itself: its person, who reloads it, would be told that a link is needed, and not why.
            lines.append(answers.END_SESSION)
        inner = ""
        if self.sign_in and word in _SIGN_IN_HELPS and request.host != self._config.domain:
            following = quote((request.path + request.query).decode("latin-1"), safe="")
            inner = looks.link(f"/.envforge/sign-in?next={following}", "Member of the team? Sign in")
        return _page(status, title, sentences, inner=inner, lines=lines)

    def denied(self, request: Request, status: int, word: str) -> Answer:
        """The session holds, and this is not within it."""
        title, sentence = DENIED.get(word, DENIED["path"])
        if not request.wants_page:
            return answers.problem(request, status, word, detail=sentence)
        return _page(status, title, (sentence,))

    def broken(self, request: Request, status: int, word: str) -> Answer:
        """The service fails, and whose fault it is: the app's."""
        title, sentence = BROKEN.get(word, _BROKEN_GENERAL)
        if not request.wants_page:
            return answers.problem(request, status, word, detail=sentence)
        return _page(status, title, (sentence, "Reload the page in a moment; if it stays, tell its team."))

    def progress(self, workspace: str, sentence: str, given: Sequence[Step], retry_after_s: int) -> Answer:
        """It is waking; the page looks again by itself and opens the app when it is there."""
        inner = f'<p id="words" aria-live="polite">{html.escape(sentence)}</p>' + looks.steps(
            [(one.words, one.state) for one in given]
        )
        return _page(
            503,
            f"Waking {workspace}",
            (),
            inner=inner,
            script=looks.PROGRESS,
            refresh_s=max(2, retry_after_s),
            lines=[b"Retry-After: %d" % retry_after_s],
        )

    def share(self, token: str) -> Answer:
        """The page a share link leads to: it goes on by script or button, so that what unfurls links uses nothing up."""
        inner = looks.form("/share", {"token": token}, "Open")
        below = f"{self._config.scheme}://*.{self._config.domain}{self._config.port_suffix}"
        return _page(
            200,
            "Somebody shared an app with you",
            ("It runs in a workspace of their team. Opening it may take a moment if it is asleep.",),
            inner=inner,
            script=looks.CONTINUE,
            forms_to=("'self'", below),
        )

    def hand_over(self, origin: str, code: str, lines: Sequence[bytes]) -> Answer:
        """Carries the one-time code to the workspace's own host."""
        inner = looks.form(f"{origin}/.envforge/redeem", {"code": code}, "Continue")
        return _page(
            200,
            "Opening",
            ("One moment.",),
            inner=inner,
            script=looks.CONTINUE,
            forms_to=(origin,),
            lines=lines,
        )


def _page(
    status: int,
    title: str,
    sentences: Sequence[str],
    *,
    inner: str = "",
    script: str = "",
    forms_to: Sequence[str] = (),
    refresh_s: int | None = None,
    lines: Sequence[bytes] = (),
) -> Answer:
    body, policy = looks.page(
        title, sentences, inner=inner, script=script, forms_to=forms_to, refresh_s=refresh_s
    )
    return Answer(status, body, b"text/html; charset=utf-8", [policy, *lines])
