"""The mail sink of a workspace: takes every message for every address, sends none on, and shows them on a page.

Entered as one of the daemon's own programs (`isolation.enter`), so that all it needs is loaded before it becomes the
resource's account. Messages are a Maildir below its directory, the newest `KEPT`; the page is a console: reached by SSH
forwarding, never by a dev link (L5).
"""

import asyncio
import contextlib
import encodings.ascii
import encodings.idna
import encodings.latin_1  # noqa: F401 - as the account, no more of the library may be readable
import hmac
import html
import http.server
import json
import mailbox
import signal
import sys
import threading
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from http import HTTPStatus
from pathlib import Path
from typing import Any

# The interpreter was started without its packages.
sys.path.append(
    str(
        Path(sys.executable).parents[1]
        / "lib"
        / f"python{sys.version_info.major}.{sys.version_info.minor}"
        / "site-packages"
    )
)

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HOST = "127.0.0.1"
KEPT = 1_000
LISTED = 200
MAX_MESSAGE_BYTES = 10 << 20
MAX_RECIPIENTS = 100
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    # What a sender wrote is shown as text; nothing is loaded and nothing runs.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.4rem;border-bottom:1px solid #8886}}
pre{{white-space:pre-wrap;overflow-wrap:anywhere}}</style><h1>{title}</h1>{body}</html>"""


class Box:
    """The messages, newest first."""

    def __init__(self, directory: Path) -> None:
        self._box = mailbox.Maildir(directory / "messages", create=True)
        self._lock = threading.Lock()

    def add(self, envelope: Envelope) -> None:
        """Keep a message; it is on disk when this returns."""
        recipients = "".join(f"Delivered-To: {_line(one)}\r\n" for one in envelope.rcpt_tos)
        head = f"Return-Path: <{_line(envelope.mail_from or '')}>\r\n{recipients}"
        with self._lock:
            self._box.add(head.encode(errors="replace") + (envelope.original_content or b""))
            for key in self.keys()[KEPT:]:
                self._box.discard(key)

    def keys(self) -> list[str]:
        return sorted(self._box.keys(), key=_when, reverse=True)

    def read(self, key: str) -> bytes | None:
        """A message byte by byte, as it came."""
        with self._lock, contextlib.suppress(KeyError, OSError):
            return self._box.get_bytes(key)
        return None


def _line(text: Any) -> str:
    return str(text).replace("\r", " ").replace("\n", " ")


def _when(key: str) -> tuple[int, int, str]:
    """Maildir's names begin with the second, and have `M` and the microsecond after it."""
    second, _, rest = key.partition(".")
    micro = rest.partition("M")[2].partition("P")[0]
    return int(second) if second.isdigit() else 0, int(micro) if micro.isdigit() else 0, key


class Taker:
    """The SMTP side; 250 is said when the message is on disk."""

    def __init__(self, box: Box) -> None:
        self._box = box

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds it by the command's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        try:
            self._box.add(envelope)
        except OSError:
            return "452 4.3.1 The message could not be kept"
        # No address, subject or text: a link in a message is a way in, and logs are read by others.
        print(f"kept a message for {len(envelope.rcpt_tos)} recipients", flush=True)
        return "250 2.0.0 Kept"


def _letter(content: bytes) -> dict[str, Any]:
    """A message as people and tests read it; whatever the bytes are, something comes out."""
    decoded = BytesParser(EmailMessage, policy=policy.default).parsebytes(content)
    try:
        body = decoded.get_body(preferencelist=("plain", "html"))
        text = str(body.get_content()) if body else ""
    except Exception:  # noqa: BLE001 - the parser fails in many ways on what is no message
        text = content.decode(errors="replace")
    return {
        "from": _header(decoded, "From") or _header(decoded, "Return-Path"),
        "to": [_line(one) for one in decoded.get_all("Delivered-To", [])],
        "subject": _header(decoded, "Subject"),
        "date": _header(decoded, "Date"),
        "text": text,
    }


def _header(message: EmailMessage, name: str) -> str:
    try:
        return _line(message.get(name, ""))
    except Exception:  # noqa: BLE001 - as above
        return ""


class Console(http.server.BaseHTTPRequestHandler):
    """The page: `/`, `/messages/KEY`, `/messages/KEY/source`, and `/api/messages` for tests."""

    box: Box
    server_version = "EnvForge"
    sys_version = ""

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        # A foreign name that resolves to this machine must not make the page readable to its owner (DNS rebinding).
        if host not in {"localhost", HOST}:
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", b"")
            return
        path = self.path.partition("?")[0]
        if path == "/":
            self._page("Mail", self._list())
        elif path == "/api/messages":
            letters = [self._read(key) for key in self.box.keys()[:LISTED]]
            self._answer(
                HTTPStatus.OK,
                "application/json",
                json.dumps({"messages": [one for one in letters if one]}).encode(),
            )
        else:
            self._one(path.removeprefix("/messages/"))

    def _one(self, path: str) -> None:
        key, _, rest = path.partition("/")
        content = self.box.read(key)
        if content is None or rest not in {"", "source"}:
            self._page(
                "There is no such message", "<p><a href='/'>All messages</a></p>", HTTPStatus.NOT_FOUND
            )
        elif rest:
            self._answer(HTTPStatus.OK, "text/plain; charset=utf-8", content)
        else:
            letter = _letter(content)
            self._page(
                html.escape(letter["subject"] or "No subject"),
                f"<p>From {html.escape(letter['from'])} to {html.escape(', '.join(letter['to']))}, "
                f"{html.escape(letter['date'])}</p><pre>{html.escape(letter['text'])}</pre>"
                f"<p><a href='/messages/{html.escape(key)}/source'>Source</a> · <a href='/'>All messages</a></p>",
            )

    def _read(self, key: str) -> dict[str, Any] | None:
        content = self.box.read(key)
        return _letter(content) | {"key": key} if content is not None else None

    def _list(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(one['from'])}<td>{html.escape(', '.join(one['to']))}"
            f"<td><a href='/messages/{html.escape(one['key'])}'>{html.escape(one['subject'] or 'No subject')}</a>"
            for key in self.box.keys()[:LISTED]
            if (one := self._read(key))
        )
        if not rows:
            return "<p>Nothing was sent yet. What the workspace sends stays here, and goes to nobody.</p>"
        return f"<table><tr><th>From<th>To<th>Subject</tr>{rows}</table>"

    def _page(self, title: str, body: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer(status, "text/html; charset=utf-8", _PAGE.format(title=title, body=body).encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: who reads which message is nobody's business."""


async def serve(box: Box, port: int, user: str, password: str) -> None:
    """Take mail until asked to end."""

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        known = isinstance(given, LoginPassword) and hmac.compare_digest(
            given.login + b"\0" + given.password, f"{user}\0{password}".encode()
        )
        return AuthResult(success=known, handled=known)

    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    server = await loop.create_server(
        lambda: SMTP(
            Taker(box),
            hostname="localhost",
            ident="EnvForge mail sink",
            enable_SMTPUTF8=True,
            data_size_limit=MAX_MESSAGE_BYTES,
            authenticator=authenticate,
            # Nothing leaves the namespace's loopback.
            auth_require_tls=False,
            loop=loop,
        ),
        host=HOST,
        port=port,
    )
    async with server:
        await ending.wait()


def main(port: str, console_port: str, user: str, password: str) -> int:
    """Run it in the current directory."""
    box = Box(Path.cwd())
    Console.box = box
    console = http.server.ThreadingHTTPServer((HOST, int(console_port)), Console)
    threading.Thread(target=console.serve_forever, daemon=True).start()
    asyncio.run(serve(box, int(port), user, password))
    return 0
