"""A head that says what one before said is not read again: it must be understood just the same, and nothing private kept."""

import hashlib
from typing import Any

import pytest

from envforge_gateway import fields, heads, responses
from envforge_gateway.config import Config
from envforge_gateway.errors import BadRequest, BadResponse
from envforge_gateway.heads import Reader
from envforge_gateway.requests import DEFAULTS
from tests.gateway.double import HOST

CONFIG = Config.model_validate(
    {
        "dev_url": "https://dev.test",
        "api_url": "http://127.0.0.1:1",
        "credential": "unused",
        "trusted_peers": "10.0.0.0/8",
    }
)
ONE, TWO = "a" * 43, "b" * 43
USUAL = f"GET /here?a=1 HTTP/1.1\r\nHost: {HOST}\r\nAccept: */*\r\nCookie: theme=dark; __Host-envforge={ONE}\r\nX-App: 1\r\n\r\n"


def understood(reader: Reader, head: bytes) -> dict[str, Any] | tuple[int, str]:
    """Everything that is known of a request, or how it is refused."""
    try:
        request = reader.read(head, "10.1.2.3", True)
        return {name: getattr(request, name) for name in DEFAULTS}
    except BadRequest as bad:
        return bad.status, bad.word


def test_every_byte_is_read_as_the_first_time() -> None:
    """Whatever stands at any place of a head that is known: put together from known parts, or read anew, it is the same."""
    known = Reader(CONFIG)
    known.read(USUAL.encode(), "10.1.2.3", True)
    read = 0
    for at in range(len(USUAL)):
        for byte in (*range(0, 256, 7), *b'\0\t\r\n "#%;,:=/?.\x7f\xff'):
            head = bytearray(USUAL.encode())
            head[at] = byte
            anew = understood(Reader(CONFIG), bytes(head))
            assert understood(known, bytes(head)) == anew
            assert understood(known, bytes(head)) == anew
            read += isinstance(anew, dict)
    assert read > 1000


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("Cookie: ",),
        (f"cookie: __Host-envforge={TWO}",),
        (f"Cookie: __Host-envforge={TWO}", f"Cookie: __Host-envforge={ONE}"),
        (f"Cookie: __Host-envforge={TWO}", "cookie: b=2"),
        (f"Cookie: __Host-envforge={TWO}", " folded"),
        (f"Cookie: __Host-envforge={TWO}; __Host-envforge={ONE}",),
        (f"Cookie: __Host-envforge-state={TWO}; a=1",),
        (f"Cookie: x__Host-envforge={TWO}",),
        (f"Cookie: a=1;__Host-envforge={TWO};b=2",),
        (f"Cookie:\t __Host-envforge={TWO} ",),
        ("Authorization: Bearer one",),
        ("Content-Length: 3", "Content-Length: 3"),
        ("Transfer-Encoding: chunked", "Content-Length: 3"),
        ("Connection: close, x-app",),
        ("Connection: cookie",),
        ("X-Forwarded-For: 192.0.2.1, 10.9.9.9",),
        ("Sec-Fetch-Site: cross-site",),
    ],
)
@pytest.mark.parametrize(
    "start", ["GET / HTTP/1.1", "POST /a HTTP/1.1", "GET / HTTP/1.0", "GET /a/../b HTTP/1.1"]
)
def test_fields_are_read_as_the_first_time(start: str, lines: tuple[str, ...]) -> None:
    known = Reader(CONFIG)
    known.read(USUAL.encode(), "10.1.2.3", True)
    head = "\r\n".join([start, f"Host: {HOST}", *lines, "X-App: 1", "", ""]).encode()
    anew = understood(Reader(CONFIG), head)
    assert understood(known, head) == anew
    assert understood(known, head) == anew


def test_g1_the_session_is_read_from_each_head() -> None:
    """G1: the same fields with another session, or with none, are never taken for the session before."""
    reader = Reader(CONFIG)
    for value in (ONE, TWO, ONE):
        request = reader.read(USUAL.replace(ONE, value).encode(), "10.1.2.3", True)
        assert request.digest == hashlib.sha256(value.encode()).digest()
        assert request.cookies == b"\r\nCookie: theme=dark"
    without = USUAL.replace(f"Cookie: theme=dark; __Host-envforge={ONE}\r\n", "").encode()
    assert reader.read(without, "10.1.2.3", True).digest is None
    assert reader.read(without, "10.1.2.3", True).cookies == b""


def test_what_one_request_changes_is_not_the_next_ones() -> None:
    reader = Reader(CONFIG)
    first = reader.read(USUAL.encode(), "10.1.2.3", True)
    first.keep_alive, first.path = False, b"/elsewhere"
    second = reader.read(USUAL.encode(), "10.1.2.3", True)
    assert (second.keep_alive, second.path) == (True, b"/here")


def test_nothing_private_is_kept() -> None:
    """No cookie and no authorization lies in what is remembered of heads, however the name is spelled."""
    reader = Reader(CONFIG)
    for name in ("Cookie", "cookie", "COOKIE", "Authorization", "authorization"):
        for twice in (1, 2):
            head = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n" + f"{name}: the-value\r\n" * twice + "\r\n"
            understood(reader, head.encode())
    assert b"the-value" not in repr((reader._heads, reader._fields._lines)).encode()
    assert reader._heads


def test_heads_are_forgotten_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "HEADS_REMEMBERED", 10)
    monkeypatch.setattr(fields, "LINES_REMEMBERED", 10)
    reader = Reader(CONFIG)
    for number in range(100):
        reader.read(USUAL.replace("X-App: 1", f"X-App: {number}").encode(), "10.1.2.3", True)
    long = USUAL.replace("X-App: 1", "X-App: " + "1" * 5000).encode()
    before = len(reader._heads)
    reader.read(long, "10.1.2.3", True)
    assert len(reader._heads) == before <= 10
    assert len(reader._fields._lines) <= 10


ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: keep-alive\r\nContent-Length: 5\r\nETag: "1"\r\n\r\n'


def told(reader: responses.Reader, head: bytes) -> dict[str, Any] | str:
    try:
        response = reader.read(head, host=HOST, to_head=False)
        return {name: getattr(response, name) for name in response.__slots__ if name != "is_read"}
    except BadResponse as bad:
        return str(bad)


def test_every_byte_of_an_answer_is_read_as_the_first_time() -> None:
    known = responses.Reader()
    known.read(ANSWER, host=HOST, to_head=False)
    read = 0
    for at in range(len(ANSWER) - 4):
        for byte in (*range(0, 256, 7), *b"\0\t\r\n :;="):
            head = bytearray(ANSWER)
            head[at] = byte
            anew = told(responses.Reader(), bytes(head))
            assert told(known, bytes(head)) == anew
            assert told(known, bytes(head)) == anew
            read += isinstance(anew, dict)
    assert read > 1000


def test_known_lines_that_contradict_each_other_are_refused() -> None:
    reader = responses.Reader()
    for line in (b"Content-Length: 5", b"Content-Length: 6", b"Transfer-Encoding: chunked"):
        reader.read(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n", host=HOST, to_head=False)
    for lines in (
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    ):
        with pytest.raises(BadResponse):
            reader.read(b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(lines) + b"\r\n\r\n", host=HOST, to_head=False)


def test_no_cookie_of_an_answer_is_kept() -> None:
    reader, said = responses.Reader(), responses.Said()
    for name in (b"Set-Cookie", b"set-cookie"):
        head = b"HTTP/1.1 200 OK\r\n" + name + b": a=the-value\r\n\r\n"
        said.read(reader, head, host=HOST, to_head=False)
    assert b"the-value" not in repr((reader._starts, reader._lines, said._heads)).encode()


def test_a_head_that_is_said_again_is_known_whole() -> None:
    reader, said = responses.Reader(), responses.Said()
    first = said.read(reader, ANSWER, host=HOST, to_head=False)
    assert said.read(reader, ANSWER, host=HOST, to_head=False) is first
    assert responses.Said().read(reader, ANSWER, host=HOST, to_head=False) is not first, "another service's"
    to_head = said.read(reader, ANSWER, host=HOST, to_head=True)
    assert (to_head.length, first.length) == (0, 5)
    assert b"Content-Length: 5" in to_head.lines
    assert said.read(reader, ANSWER, host=HOST, to_head=False) is first
    for number in range(2 * responses.HEADS_REMEMBERED):
        said.read(reader, ANSWER[:-2] + b"X-Number: %d\r\n\r\n" % number, host=HOST, to_head=False)
    said.read(reader, ANSWER[:-2] + b"X: " + b"y" * 2000 + b"\r\n\r\n", host=HOST, to_head=False)
    assert len(said._heads) <= responses.HEADS_REMEMBERED
    assert max(map(len, said._heads)) <= responses.LONGEST_HEAD_REMEMBERED
