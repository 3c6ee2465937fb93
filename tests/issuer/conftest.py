"""A real issuer process and a browser's view of it."""

import base64
import hashlib
import json
import re
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import jwt
import pytest

CALLBACK = "http://localhost:8000/callback?from=issuer"
GOODBYE = "http://localhost:8000/goodbye"
# An odd secret: RFC 6749 has it form-encoded before it goes into the Basic header.
SECRET = "s3cret:with/odd+signs & spaces"
CLIENTS: list[dict[str, Any]] = [
    {
        "client_id": "console",
        "client_secret": SECRET,
        "redirect_uris": [CALLBACK, "http://localhost:8000/other"],
        "post_logout_redirect_uris": [GOODBYE],
        "name": "Console",
    },
    {
        "client_id": "phone",
        "client_secret": None,
        "redirect_uris": ["http://127.0.0.1:7777/callback"],
        "post_logout_redirect_uris": [],
        "name": "Phone",
    },
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RunningIssuer:
    """One issuer process on its own state directory."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text("utf-8")

    def start(self) -> None:
        clients = self.directory / "clients.json"
        clients.write_text(json.dumps(CLIENTS), "utf-8")
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "local_cloud.issuer", "--port", str(self.port)),
                    *("--state", str(self.state), "--issuer", self.url, "--clients", str(clients)),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx2.get(f"http://127.0.0.1:{self.port}/health").status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the issuer did not start: {self.log}")

    def stop(self) -> int:
        """SIGTERM, and the exit status that follows."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)

    def age(self, seconds: int) -> None:
        """Make everything the issuer remembers this much older: time is moved, not slept."""
        with sqlite3.connect(self.state / "issuer.sqlite3", timeout=5) as db:
            for table in ("forms", "sessions", "codes", "access_tokens"):
                db.execute(f"UPDATE {table} SET expires_at = expires_at - ?", (seconds,))
            db.execute("UPDATE sessions SET auth_time = auth_time - ?", (seconds,))
            db.execute("UPDATE keys SET retired_at = retired_at - ?", (seconds,))
        db.close()

    def key_ids(self) -> list[str]:
        keys = httpx2.get(f"http://127.0.0.1:{self.port}/.well-known/jwks.json").json()["keys"]
        return [key["kid"] for key in keys]

    def rotate_key(self, **headers: str) -> httpx2.Response:
        return httpx2.post(f"http://127.0.0.1:{self.port}/_local/rotate-key", headers=headers)

    def verified(self, id_token: str, audience: str = "console") -> dict[str, Any]:
        """The claims of an ID token, checked as a client does, with the published keys."""
        header = jwt.get_unverified_header(id_token)
        keys = httpx2.get(f"http://127.0.0.1:{self.port}/.well-known/jwks.json").json()
        key = jwt.PyJWKSet.from_dict(keys)[header["kid"]]
        claims: dict[str, Any] = jwt.decode(
            id_token, key, algorithms=["RS256"], audience=audience, issuer=self.url
        )
        return claims


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Browser:
    """A cookie jar with a client's wishes: it speaks to the issuer as a browser, and to /oauth/token as the client."""

    issuer: RunningIssuer
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    http: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.issuer.port}", timeout=10)

    def authorize(self, **changes: str | None) -> httpx2.Response:
        """GET /authorize with a good request, changed; None leaves a parameter out."""
        asked: dict[str, str | None] = {
            "client_id": "console",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": "openid profile email",
            "state": "state-1",
            "nonce": "nonce-1",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return self.http.get("/authorize", params={k: v for k, v in asked.items() if v is not None})

    def choose(self, page: httpx2.Response, login: str) -> httpx2.Response:
        """Press a person's button on the page."""
        assert page.status_code == 200, page.text
        assert f'name="login" value="{login}"' in page.text
        return self.http.post("/u/login", data={"form": form_of(page), "login": login})

    def code(self, login: str = "alice", **changes: str | None) -> str:
        """Sign in and return the code that reaches the client."""
        response = self.authorize(**changes)
        if response.status_code == 200:
            response = self.choose(response, login)
        return answer(response)["code"]

    def exchange(self, code: str, **changes: str | None) -> httpx2.Response:
        """POST /oauth/token as the console would, changed; None leaves a parameter out."""
        sent: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": self.verifier,
            "client_id": "console",
            "client_secret": SECRET,
            **changes,
        }
        return self.http.post("/oauth/token", data={k: v for k, v in sent.items() if v is not None})

    def tokens(self, login: str = "alice", **changes: str | None) -> dict[str, Any]:
        response = self.exchange(self.code(login, **changes))
        assert response.status_code == 200, response.text
        tokens: dict[str, Any] = response.json()
        return tokens

    def userinfo(self, access_token: str) -> httpx2.Response:
        return self.http.get("/userinfo", headers={"Authorization": f"Bearer {access_token}"})


def form_of(page: httpx2.Response) -> str:
    found = re.search(r'name="form" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def answer(response: httpx2.Response, destination: str = CALLBACK) -> dict[str, str]:
    """The parameters a redirect adds to the client's own address."""
    assert response.status_code == 303, response.text
    location = response.headers["location"]
    parts, expected = urlsplit(location), urlsplit(destination)
    assert (parts.scheme, parts.netloc, parts.path) == (expected.scheme, expected.netloc, expected.path)
    assert parts.query.startswith(expected.query)
    return dict(parse_qsl(parts.query.removeprefix(expected.query)))


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningIssuer]:
    """An issuer that all tests share which neither restart it nor turn its keys."""
    running = RunningIssuer(tmp_path_factory.mktemp("issuer"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def own_issuer(tmp_path: Path) -> Iterator[RunningIssuer]:
    """An issuer for one test alone."""
    running = RunningIssuer(tmp_path)
    running.start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


@pytest.fixture
def browser(issuer: RunningIssuer) -> Iterator[Browser]:
    browser = Browser(issuer)
    with browser.http:
        yield browser
