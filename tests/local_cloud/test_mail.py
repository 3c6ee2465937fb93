"""The mail catcher as a real process: what is sent by SMTP is shown, kept over restarts, and harmless to look at."""

import json
import smtplib
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import httpx2
import pytest

from local_cloud.mail.store import KEPT, Store
from tests.issuer.conftest import free_port

CHROMIUM = Path("/usr/bin/chromium")


class Catcher:
    """One catcher process on its own state directory."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port, self.smtp_port = free_port(), free_port()
        self.log = state.parent / "mail.log"

    def start(self) -> None:
        command = [sys.executable, "-W", "error", "-m", "local_cloud.mail", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--smtp-port", str(self.smtp_port), "--state", str(self.state)],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.get("/health").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the catcher did not start: {self.log.read_text()}")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(10)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.port}{path}", headers=headers)

    def messages(self, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/api/messages{query}").json()["messages"]
        return found

    def send(self, message: EmailMessage | bytes, *to: str) -> None:
        content = message if isinstance(message, bytes) else message.as_bytes(policy=SMTP)
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=10) as smtp:
            assert smtp.sendmail("envforge@envforge.test", to or ("bob@acme.test",), content) == {}


def letter(subject: str = "Hello", text: str = "Hi Bob", html: str = "") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "EnvForge <envforge@envforge.test>",
        "bob@acme.test",
        subject,
    )
    message["Message-ID"] = "<1@envforge.test>"
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[Catcher]:
    running = Catcher(tmp_path / "mail")
    running.start()
    yield running
    if running.process.poll() is None:
        running.stop()


def test_what_is_sent_is_listed_newest_first_and_decoded(catcher: Catcher) -> None:
    catcher.send(letter("First"))
    catcher.send(letter("Grüße aus 東京", "Über alles: 🙂", "<p>Über</p>"), "bob@acme.test", "eve@acme.test")
    newest, first = catcher.messages()
    assert (first["subject"], first["text"], first["html"]) == ("First", "Hi Bob\n", "")
    assert (newest["subject"], newest["text"], newest["html"]) == (
        "Grüße aus 東京",
        "Über alles: 🙂\n",
        "<p>Über</p>\n",
    )
    assert newest["recipients"] == ["bob@acme.test", "eve@acme.test"]
    assert newest["message_id"] == "<1@envforge.test>"
    assert ["To", "bob@acme.test"] in newest["headers"]
    assert [one["subject"] for one in catcher.messages("?to=EVE@acme.test")] == ["Grüße aus 東京"]
    page = catcher.get("/").text
    assert page.index("Grüße aus 東京") < page.index("First")


def test_messages_outlast_a_restart_and_sigterm_is_clean(catcher: Catcher) -> None:
    catcher.send(letter("Kept"))
    assert catcher.stop() == 0
    catcher.start()
    assert [one["subject"] for one in catcher.messages()] == ["Kept"]
    catcher.process.kill()
    catcher.process.wait()
    catcher.start()
    catcher.send(letter("Next"))
    assert [one["number"] for one in catcher.messages()] == [2, 1]
    assert catcher.stop() == 0
    assert "Traceback" not in catcher.log.read_text()


def test_a_client_that_hangs_on_does_not_hold_up_the_end(catcher: Catcher) -> None:
    with smtplib.SMTP("127.0.0.1", catcher.smtp_port, timeout=10) as smtp:
        smtp.helo()
        assert catcher.stop() == 0
        with pytest.raises(smtplib.SMTPServerDisconnected):
            smtp.noop()


def test_the_newest_thousand_are_kept_in_a_file_of_its_owners_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "mail")
    for number in range(KEPT + 5):
        store.add(sender="a@x.test", recipients=["b@x.test"], content=f"Subject: {number}\n\n".encode())
    kept = store.newest(2 * KEPT)
    store.close()
    assert (len(kept), kept[0].number, kept[-1].number) == (KEPT, KEPT + 5, 6)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "mail").iterdir()} == {0o600}


def test_links_in_the_text_can_be_followed_and_nothing_else_is_markup(catcher: Catcher) -> None:
    catcher.send(
        letter(
            "<b>Bold</b>", 'Open https://x.test/a?b=1&c=%22"><script>alert(1)</script> (or http://y.test/z).'
        )
    )
    page = catcher.get("/messages/1").text
    assert '<a href="https://x.test/a?b=1&amp;c=%22" rel="noopener noreferrer">' in page
    assert '<a href="http://y.test/z" rel="noopener noreferrer">http://y.test/z</a>).' in page
    assert "<script" not in page
    assert "<b>Bold" not in page + catcher.get("/").text
    assert catcher.get("/messages/1").headers["referrer-policy"] == "no-referrer"


def test_html_is_shown_in_a_sandbox_that_loads_nothing(catcher: Catcher) -> None:
    catcher.send(
        letter(html="<img src='https://evil.test/x.png'><script>parent.document.title='evil'</script>")
    )
    page = catcher.get("/messages/1")
    assert '<iframe src="/messages/1/html" sandbox=""' in page.text
    assert "evil" not in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "script" not in policy
    assert "unsafe" not in policy
    inner = catcher.get("/messages/1/html").headers["content-security-policy"]
    assert inner.startswith("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; ")
    source = catcher.get("/messages/1/source")
    assert source.headers["content-type"].startswith("text/plain")
    assert source.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"no header at all \xff\xfe",
        b"Subject: =?utf-8?b?!!!?=\r\nFrom: <<<>>>\r\n\r\nx",
        b"Content-Type: text/plain; charset=unheard-of\r\n\r\nx",
        b"Content-Type: multipart/mixed\r\n\r\nno boundary",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
        b"Subject: a\x00b\r\n\r\n\x00",
        b"Date: never\r\nTo: , ,;\r\nMessage-ID: <\r\n\r\n",
    ],
)
def test_whatever_the_bytes_are_the_page_answers(catcher: Catcher, content: bytes) -> None:
    catcher.send(content)
    assert len(catcher.messages()) == 1
    for path in ("/", "/messages/1", "/messages/1/html", "/messages/1/source"):
        assert catcher.get(path).status_code == 200


def test_what_is_not_there_is_a_page_that_says_so(catcher: Catcher) -> None:
    for path in ("/messages/7", "/messages/99999999999999999999999", "/nothing"):
        assert catcher.get(path).status_code == 404
        assert "There is nothing here" in catcher.get(path).text
    assert "No mail yet" in catcher.get("/").text


def test_a_foreign_name_for_this_machine_reads_no_mail(catcher: Catcher) -> None:
    catcher.send(letter("Join by https://x.test/join/token"))
    for path in ("/", "/api/messages", "/messages/1"):
        answer = catcher.get(path, Host="rebound.evil.test")
        assert answer.status_code == 400
        assert "token" not in answer.text


def test_it_listens_on_loopback_alone_and_its_log_tells_nothing(catcher: Catcher) -> None:
    catcher.send(letter("Canary-subject", "https://x.test/join/canary-token"), "canary-bob@acme.test")
    catcher.get("/messages/1")
    assert "message 1: " in catcher.log.read_text()
    assert "anary" not in catcher.log.read_text()
    for port in (catcher.port, catcher.smtp_port):
        with socket.socket() as other:
            other.bind(("127.0.0.2", port))  # taken, if the server listened on every address


def test_a_taken_port_ends_the_start(tmp_path: Path, catcher: Catcher) -> None:
    command = [sys.executable, "-m", "local_cloud.mail", "--port", str(free_port())]
    done = subprocess.run(
        [*command, "--smtp-port", str(catcher.smtp_port), "--state", str(tmp_path / "second")],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode != 0
    assert "address already in use" in done.stderr


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed: apt-get install chromium")
def test_chromium_shows_a_message_runs_none_of_it_and_asks_nobody(catcher: Catcher) -> None:
    from playwright.sync_api import sync_playwright

    catcher.send(
        letter(html="<h1>Shown</h1><img src='https://evil.test/x.png'><script>document.title='evil'</script>")
    )
    asked: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 320, "height": 640})
        page.on("requestfinished", lambda request: asked.append(request.url))
        page.goto(f"http://localhost:{catcher.port}/")
        page.get_by_role("link", name="Hello").click()
        frame = page.frame_locator("iframe")
        frame.get_by_role("heading", name="Shown").wait_for()
        assert page.title().startswith("Hello")
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        chromium.close()
    assert asked
    assert all(url.startswith(f"http://localhost:{catcher.port}/") for url in asked)
    assert json.dumps(asked).count("evil") == 0
