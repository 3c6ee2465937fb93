"""The console as a browser meets it: a real server process and a real issuer of these tests' own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright

from local_cloud.postgres import RolePasswords, drop_database, prepare_database
from tests.issuer.conftest import SECRET, RunningIssuer, free_port

ADMIN_DSN = os.environ["ENVFORGE_TEST_ADMIN_DATABASE_URL"]
CLIENT_ID = "console"
# The roles' ways into the database.
ADDRESSES = {
    "app": "DATABASE_URL",
    "owner": "ENVFORGE_OWNER_DATABASE_URL",
    "sealer": "ENVFORGE_SEALER_DATABASE_URL",
    "support": "ENVFORGE_SUPPORT_DATABASE_URL",
}


@dataclass
class Place:
    """Where console, support's host and issuer are, and what the console's process said."""

    console: str
    support: str
    issuer: RunningIssuer
    environment: dict[str, str]
    log: Path


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("console")
    port = free_port()
    console, support = f"http://localhost:{port}", f"http://support.localhost:{port}"
    with pytest.MonkeyPatch.context() as patch:
        client = {
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "redirect_uris": [f"{host}/auth/callback" for host in (console, support)],
            "post_logout_redirect_uris": [f"{host}/" for host in (console, support)],
            "name": "EnvForge",
        }
        patch.setattr("tests.issuer.conftest.CLIENTS", [client])
        issuer = RunningIssuer(directory)
        issuer.start()
    environment = {
        **os.environ,
        "ENVFORGE_CONSOLE_URL": console,
        "ENVFORGE_ADMIN_URL": support,
        "AUTH0_ISSUER": issuer.url,
        "AUTH0_CLIENT_ID": CLIENT_ID,
        "AUTH0_CLIENT_SECRET": SECRET,
    }
    try:
        with _database(environment), _console(environment, port, directory / "console.log"):
            yield Place(console, support, issuer, environment, directory / "console.log")
    finally:
        issuer.stop()


@contextmanager
def _database(environment: dict[str, str]) -> Iterator[None]:
    """A database of these tests' own, named in the environment."""
    name = f"envforge_browser_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    urls = {role: urlsplit(environment[variable]) for role, variable in ADDRESSES.items()}
    passwords = {role: url.password or "" for role, url in urls.items()}
    drop_database(ADMIN_DSN, name)
    prepare_database(ADMIN_DSN, name, RolePasswords(**passwords))
    for role, variable in ADDRESSES.items():
        environment[variable] = urls[role]._replace(path=f"/{name}").geturl()
    for command in (["manage.py", "migrate", "--database", "owner", "-v", "0"], ["-m", "local_cloud.seed"]):
        subprocess.run([sys.executable, *command], env=environment, check=True)
    yield
    drop_database(ADMIN_DSN, name)


@contextmanager
def _console(environment: dict[str, str], port: int, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "uvicorn", "envforge.asgi:application", "--host", "127.0.0.1"]
    with log.open("ab") as said:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--no-access-log"], env=environment, stdout=said, stderr=said
        )
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if httpx2.get(
                    f"http://127.0.0.1:{port}/health/live", headers={"host": "localhost"}
                ).is_success:
                    break
            except httpx2.TransportError:
                time.sleep(0.05)
        else:
            raise AssertionError(f"the console did not start: {log.read_text()}")
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For one module: Playwright keeps an event loop running, beside which Django refuses to work in this process."""
    path = os.environ.get("ENVFORGE_BROWSER", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """A browser window whose every complaint and every request is noted."""

    context: BrowserContext
    complaints: list[str]
    origins: set[str]

    def page(self) -> Page:
        page = self.context.new_page()
        page.on("console", lambda message: self._note(message.text))
        page.on("response", self._note_broken)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.origins.add(request.url.split("/", 3)[2]))
        return page

    def _note(self, text: str) -> None:
        # Also said of a page that is itself an answer, such as a form's 422; what a page loads is noted below.
        if not text.startswith("Failed to load resource: the server responded with a status of 4"):
            self.complaints.append(text)

    def _note_broken(self, response: Response) -> None:
        if response.status >= 400 and response.request.resource_type != "document":
            self.complaints.append(f"{response.status} {response.url}")


@pytest.fixture
def window(chromium: Browser, place: Place) -> Iterator[Watched]:
    """A fresh window; at the end nothing may have complained, and no third origin may have been asked."""
    context = chromium.new_context(viewport={"width": 1240, "height": 860}, java_script_enabled=False)
    watched = Watched(context, [], set())
    yield watched
    context.close()
    assert watched.complaints == []
    assert watched.origins <= {urlsplit(place.console).netloc, urlsplit(place.issuer.url).netloc}


@pytest.fixture(params=["light", "dark"])
def support_window(
    request: pytest.FixtureRequest, chromium: Browser, place: Place
) -> Iterator[tuple[Watched, str]]:
    """A fresh window for support's host, whose frame needs JavaScript, and its colours; it is held as `window` is."""
    context = chromium.new_context(viewport={"width": 1280, "height": 860}, color_scheme=request.param)
    watched = Watched(context, [], set())
    yield watched, request.param
    context.close()
    assert watched.complaints == []
    assert watched.origins <= {urlsplit(place.support).netloc, urlsplit(place.issuer.url).netloc}
