"""A git host process of the tests' own, and git as a client that knows nothing of its files."""

import base64
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local_cloud.git.access import developer_token
from local_cloud.git.adding import Source, add
from local_cloud.git.apps import App, Apps
from local_cloud.git.names import RepositoryName
from local_cloud.git.store import Store
from tests.issuer.conftest import free_port

CLIENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
    "NO_PROXY": "*",
    **{
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "Bob"), ("EMAIL", "bob@acme.test"))
    },
}
WEB, BACKEND = RepositoryName("acme", "web"), RepositoryName("acme", "backend")


def git(*words: str, at: Path, ok: bool = True, **more: str) -> str:
    """What git said; with `ok=False` it must fail."""
    done = subprocess.run(
        ["git", "-C", str(at), *words],
        check=False,
        env=CLIENT | more,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def basic(password: str) -> str:
    """The header, for requests written by hand."""
    return "Authorization: Basic " + base64.b64encode(f"x:{password}".encode()).decode()


def commit(repository: Path, name: str, content: str | bytes) -> None:
    (repository / name).write_bytes(content.encode() if isinstance(content, str) else content)
    git("add", ".", at=repository)
    git("commit", "-q", "-m", f"Change {name}", at=repository)


KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
PUBLIC_KEY = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
CLIENT_ID = "Iv1.acme"


def signed(key: object = KEY, *, algorithm: str = "RS256", **claims: object) -> str:
    """The token with which an app says who it is, good as it is."""
    now = int(time.time())
    said = {"iss": CLIENT_ID, "iat": now - 60, "exp": now + 540} | claims
    return jwt.encode({name: one for name, one in said.items() if one is not None}, key, algorithm)  # type: ignore[arg-type]


class GitHost:
    """One server process on its own state directory."""

    def __init__(self, directory: Path) -> None:
        self.store = Store(directory / "state")
        self.port = free_port()
        self.log = directory / "git.log"
        Apps(self.store.directory).register(App(CLIENT_ID, "acme", PUBLIC_KEY))

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-W", "error", "-m", "local_cloud.git"),
                    *("--port", str(self.port), "--state", str(self.store.directory)),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx2.get(self.address("/health")).status_code == 200:
                    return
            except httpx2.TransportError:
                time.sleep(0.05)
        self.process.kill()
        self.process.wait(10)
        raise AssertionError(f"the git host did not start: {self.log.read_text()}")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(10)

    def address(self, path: str) -> str:
        return f"http://localhost:{self.port}{path}"

    def url(self, name: RepositoryName, password: str = "", user: str = "x") -> str:
        credential = f"{user}:{password}@" if password else ""
        return f"http://{credential}localhost:{self.port}/{name}.git"

    def read_url(self, name: RepositoryName) -> str:
        return self.url(name, self.store.deploy_token(name))

    def push_url(self, name: RepositoryName) -> str:
        return self.url(name, self.developer_token)

    def mint(self, token: str, owner: str, content: object) -> httpx2.Response:
        return httpx2.post(
            self.address(f"/app/installations/{owner}/access_tokens"),
            json=content,
            headers={"authorization": f"Bearer {token}"},
        )

    def minted(self) -> str:
        """A credential that reads WEB."""
        token: str = self.mint(signed(), "acme", {"repositories": [WEB.name]}).json()["token"]
        return token

    def revoke(self, token: str) -> int:
        headers = {"authorization": f"Bearer {token}"}
        return httpx2.delete(self.address("/installation/token"), headers=headers).status_code

    @property
    def developer_token(self) -> str:
        return developer_token(self.store)

    @property
    def root_key(self) -> str:
        return (self.store.directory / "root-key").read_text()

    @property
    def peak_kib(self) -> int:
        """The most memory the server itself ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository of this machine with two branches and a tag."""
    made = tmp_path / "source"
    made.mkdir()
    git("init", "-q", "-b", "main", at=made)
    for number in range(3):
        commit(made, "a.txt", f"{number}\n")
    git("tag", "v1", at=made)
    git("branch", "feature/one", at=made)
    return made


@pytest.fixture
def host(tmp_path: Path, source: Path) -> Iterator[GitHost]:
    """A running host with two repositories of the same content."""
    running = GitHost(tmp_path)
    for name in (WEB, BACKEND):
        add(running.store, name, Source.of(source))
    running.start()
    yield running
    running.stop()
