"""The pages under their content security policy, and in a real browser."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local_cloud.issuer.cast import CAST
from tests.issuer.conftest import CLIENTS, Browser, RunningIssuer, challenge_of

CHROMIUM = Path("/usr/bin/chromium")


def test_the_page_runs_no_script_and_loads_nothing_from_elsewhere(browser: Browser) -> None:
    page = browser.authorize()
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "script" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script" not in page.text
    assert " style=" not in page.text
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert set(loaded) == {"/issuer.css", "/issuer.svg", "/tokens.css"}
    for path in set(loaded):
        assert browser.http.get(path).status_code == 200


def test_forms_may_lead_to_the_client_that_asked_and_to_no_other(browser: Browser) -> None:
    policy = browser.authorize().headers["content-security-policy"]
    assert "form-action 'self' http://localhost:8000;" in policy


def test_every_person_is_one_button_that_says_who_they_are(browser: Browser) -> None:
    page = browser.authorize().text
    assert page.count('name="login"') == len(CAST)
    for person in CAST:
        assert f"<b>{person.name}</b> {person.blurb}" in page


def test_asked_for_an_organization_the_page_says_who_will_be_turned_away(browser: Browser) -> None:
    page = browser.authorize(organization="mallet").text
    assert page.count("not in Mallet") == len(CAST) - 1


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the client lives: another origin, which answers whatever it is asked."""

    class Landing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Landing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://localhost:{server.server_port}"
    client = {
        **CLIENTS[0],
        "redirect_uris": [address + "/in"],
        "post_logout_redirect_uris": [address + "/out"],
    }
    monkeypatch.setattr("tests.issuer.conftest.CLIENTS", [client])
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed: apt-get install chromium")
def test_chromium_signs_in_and_out_by_keyboard_on_a_narrow_screen(
    application: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from playwright.sync_api import sync_playwright

    issuer = RunningIssuer(tmp_path)
    issuer.start()
    request.addfinalizer(issuer.stop)
    asked = (
        f"{issuer.url}authorize?client_id=console&redirect_uri={application}/in&response_type=code&scope=openid"
        f"&code_challenge={challenge_of('v' * 43)}&code_challenge_method=S256"
    )
    complaints: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 320, "height": 640})
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(asked + "&login_hint=vera")
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        page.wait_for_function("document.activeElement.value === 'vera'")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{application}/in?code=*")
        page.goto(f"{issuer.url}oidc/logout?client_id=console&post_logout_redirect_uri={application}/out")
        # A page is loaded before what it gives the focus to has it.
        page.wait_for_function("document.activeElement.tagName === 'BUTTON'")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{application}/out")
        page.goto(asked)
        assert page.title().startswith("Sign in to Console")
        chromium.close()
    assert complaints == [], "the page's own policy must not be in its way"
