"""What the gateway answers by itself: complete, never cached, never framed, never indexed."""

import json
from collections.abc import Sequence
from http import HTTPStatus

from envforge_gateway.requests import SESSION_COOKIE, Request

_ALWAYS = (
    b"Cache-Control: no-store",
    b"Referrer-Policy: no-referrer",
    b"X-Content-Type-Options: nosniff",
    b"X-Frame-Options: DENY",
    b"X-Robots-Tag: noindex",
)
NO_POLICY = b"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'"
# Whoever loses a host loses what its pages left in the browser, service workers first (THREATS G4). Not the cookies: browsers
# clear those of every host below the domain.
CLEAR = b'Clear-Site-Data: "cache", "storage"'
END_SESSION = f"Set-Cookie: {SESSION_COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0".encode()

WORDS = {
    "host": "There is no such address here.",
    "limit": "Too many connections are open with this link. Close some, or try again in a moment.",
    "too_long": "This is more than may be sent at once.",
    "slow": "The request took too long to arrive.",
    "internal": "Something went wrong in the gateway. Try again.",
    "unavailable": "Whether this link still holds cannot be checked right now. Try again in a moment.",
    "not_found": "There is nothing at this address.",
    "method": "This address does not take such a request.",
    "form": "This form is not complete. Open the link again.",
    "chunk": "The request's body is broken.",
    "trailers": "The request's body is broken.",
}


class Answer:
    """A whole answer."""

    __slots__ = ("body", "closes", "content_type", "lines", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        content_type: bytes = b"text/plain; charset=utf-8",
        lines: Sequence[bytes] = (),
        *,
        closes: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.lines = list(lines)
        self.closes = closes

    def wire(self, request: Request | None, *, keep: bool) -> bytes:
        """The bytes of the answer."""
        lines = [
            b"HTTP/1.1 %d %b" % (self.status, HTTPStatus(self.status).phrase.encode()),
            b"Content-Type: " + self.content_type,
            b"Content-Length: %d" % len(self.body),
            *_ALWAYS,
            *self.lines,
        ]
        if not any(line.startswith(b"Content-Security-Policy") for line in self.lines):
            lines.append(NO_POLICY)
        if not keep:
            lines.append(b"Connection: close")
        elif request is not None and request.minor == 0:
            lines.append(b"Connection: keep-alive")
        body = b"" if request is not None and request.method == b"HEAD" else self.body
        return b"\r\n".join(lines) + b"\r\n\r\n" + body


def plain(status: int, sentence: str) -> bytes:
    """A last answer to what is no request."""
    return Answer(status, f"{sentence}\n".encode()).wire(None, keep=False)


def problem(
    request: Request,
    status: int,
    word: str,
    *,
    detail: str = "",
    retry_after_s: int | None = None,
    lines: Sequence[bytes] = (),
    more: dict[str, object] | None = None,
) -> Answer:
    """For programs (RFC 9457): `word` says which refusal it is."""
    said = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail or WORDS.get(word, "This request is refused."),
        "word": word,
        **(more or {}),
    }
    kept = [*lines]
    if retry_after_s is not None:
        kept.append(b"Retry-After: %d" % retry_after_s)
    return Answer(status, json.dumps(said).encode(), b"application/problem+json", kept)


def unavailable(request: Request) -> Answer:
    """Nobody can say now whether the session holds: nothing is served, and nothing is taken away."""
    return problem(request, 503, "unavailable", retry_after_s=1)


def moved(location: str, lines: Sequence[bytes] = ()) -> Answer:
    """To another address, by GET."""
    return Answer(303, b"", lines=[b"Location: " + location.encode("ascii"), *lines])


def data(status: int, said: dict[str, object]) -> Answer:
    return Answer(status, json.dumps(said).encode(), b"application/json")


def cookie(name: str, value: str, *, max_age_s: int, same_site: str) -> bytes:
    """A cookie of this host alone."""
    return f"Set-Cookie: {name}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age={max_age_s}".encode()
