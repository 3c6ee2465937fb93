"""Who gets in: three kinds of token, each worth nothing elsewhere; and paths that lead nowhere (H2)."""

import socket
import time
from pathlib import Path

import httpx2
import jwt
import pytest

from local_cloud.git.access import MINTED_FOR_S, Access, Caller, password_of
from local_cloud.git.names import RepositoryName
from local_cloud.git.store import Store
from tests.git_host.conftest import BACKEND, CLIENT_ID, OTHER_KEY, WEB, GitHost, basic, commit, git, signed


def refused(host: GitHost, url: str, at: Path, *words: str) -> str:
    return git(*(words or ("ls-remote",)), url, at=at, ok=False)


def test_without_a_token_nothing_is_read_or_learned(host: GitHost, tmp_path: Path) -> None:
    missing = RepositoryName("acme", "nothing")
    answers = [
        httpx2.get(f"{host.url(name)}/info/refs?service=git-upload-pack", auth=auth)
        for name in (WEB, missing)
        for auth in (None, ("x", "wrong"), ("x", ""), ("x", host.store.deploy_token(BACKEND)))
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {
        'Basic realm="EnvForge git", charset="UTF-8"'
    }
    assert len({answer.content for answer in answers}) == 1
    assert "Authentication failed" in refused(host, host.url(WEB, "wrong"), tmp_path, "clone")


def test_h2_the_token_of_one_repository_is_worth_nothing_at_another(host: GitHost, tmp_path: Path) -> None:
    git("ls-remote", host.url(BACKEND, host.store.deploy_token(BACKEND)), at=tmp_path)
    assert "Authentication failed" in refused(host, host.url(WEB, host.store.deploy_token(BACKEND)), tmp_path)


def test_only_the_developers_own_token_pushes(host: GitHost, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    git("clone", "-q", host.read_url(WEB), "copy", at=tmp_path)
    commit(copy, "b.txt", "new\n")
    said = git("push", at=copy, ok=False)
    assert "Pushing takes the developer's own" in said
    assert "403" in said
    minted = host.minted()
    assert "403" in git("push", host.url(WEB, minted), at=copy, ok=False)
    for url in (host.url(WEB), host.url(WEB, "wrong"), host.url(WEB, host.store.deploy_token(BACKEND))):
        git("push", url, "main", at=copy, ok=False)
    # The door of the push itself, not only the announcement before it.
    answer = httpx2.post(f"{host.url(WEB)}/git-receive-pack", auth=("x", host.store.deploy_token(WEB)))
    assert answer.status_code == 403
    git("push", "-q", host.push_url(WEB), "main", at=copy)


def test_h2_a_minted_credential_reads_one_repository(host: GitHost, tmp_path: Path) -> None:
    answer = host.mint(signed(), "acme", {"repositories": ["web"], "permissions": {"contents": "read"}})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    assert document["permissions"] == {"contents": "read"}
    assert document["repositories"] == [{"name": "web", "full_name": "acme/web"}]
    git("clone", "-q", host.url(WEB, document["token"], user="x-access-token"), "copy", at=tmp_path)
    refused(host, host.url(BACKEND, document["token"]), tmp_path)


def test_h2_a_minted_credential_lives_for_minutes_and_dies_with_its_repository(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    with store.making(WEB, "main"), store.making(BACKEND, "main"):
        pass
    moment = [1_000_000.0]
    access = Access(store, tmp_path / "root-key", now=lambda: moment[0])
    minted = access.mint(WEB)
    assert minted.expires_at == 1_000_000 + MINTED_FOR_S
    assert access.caller(WEB, minted.token) is Caller.MINTED
    assert access.caller(BACKEND, minted.token) is Caller.NOBODY
    moment[0] += MINTED_FOR_S - 1
    assert access.caller(WEB, minted.token) is Caller.MINTED
    moment[0] += 1
    assert access.caller(WEB, minted.token) is Caller.NOBODY
    moment[0] -= MINTED_FOR_S
    assert (
        Access(store, tmp_path / "other-key", now=lambda: moment[0]).caller(WEB, minted.token)
        is Caller.NOBODY
    )
    store.remove(WEB)
    assert access.caller(WEB, minted.token) is Caller.NOBODY
    with store.making(WEB, "main"):
        pass
    assert access.caller(WEB, minted.token) is Caller.NOBODY
    assert minted.token not in repr(minted)


@pytest.mark.parametrize("change", range(0, 120, 7))
def test_h2_a_changed_credential_is_none(tmp_path: Path, change: int) -> None:
    store = Store(tmp_path / "state")
    with store.making(WEB, "main"):
        pass
    access = Access(store, tmp_path / "root-key")
    token = access.mint(WEB).token
    place = change % len(token)
    other = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
    assert access.caller(WEB, other) is Caller.NOBODY
    assert access.caller(WEB, token[: -1 - change % 20]) is Caller.NOBODY


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"repositories": ["web", "backend"]}, 422),
        ({"repositories": []}, 422),
        ({}, 422),
        ([], 422),
        ({"repositories": "web"}, 422),
        ({"repositories": [1]}, 422),
        ({"repositories": ["nothing"]}, 422),
        ({"repositories": ["../acme/web"]}, 422),
        ({"repositories": ["web"], "permissions": {"contents": "write"}}, 422),
        ({"repositories": ["web"], "permissions": {"contents": "read", "actions": "read"}}, 422),
        ({"repositories": ["web" * 9000]}, 413),
    ],
)
def test_h2_minting_gives_one_repository_for_reading_and_nothing_else(
    host: GitHost, content: object, status: int
) -> None:
    answer = host.mint(signed(), "acme", content)
    assert answer.status_code == status
    assert answer.json()["message"]


@pytest.mark.parametrize(
    "token",
    [
        *("none", "a.b.c", "envf_mint_" + "x" * 40),
        pytest.param(signed(OTHER_KEY), id="another key"),
        pytest.param(signed(iss="Iv1.other"), id="another app"),
        pytest.param(signed(iss="../root-key"), id="a path"),
        pytest.param(signed(iss=None), id="nobody"),
        pytest.param(signed(exp=None), id="for ever"),
        pytest.param(signed(exp=int(time.time()) + 3600), id="an hour"),
        pytest.param(signed(iat=int(time.time()) - 3600), id="since an hour"),
        pytest.param(signed(exp=int(time.time()) - 1), id="over"),
        pytest.param(signed(iat=int(time.time()) + 300), id="not yet"),
        pytest.param(signed(exp="soon"), id="no number"),
        pytest.param(signed("shared" * 8, algorithm="HS256"), id="symmetric"),
        pytest.param(jwt.encode({"iss": CLIENT_ID}, None, "none"), id="unsigned"),  # type: ignore[arg-type]
    ],
)
def test_h2_only_the_apps_own_key_mints(host: GitHost, token: str) -> None:
    assert host.mint(token, "acme", {"repositories": ["web"]}).status_code == 401
    for address in ("/app", "/app/installations/acme"):
        headers = {"authorization": f"Bearer {token}"}
        assert httpx2.get(host.address(address), headers=headers).status_code == 401


def test_h2_no_token_of_a_repository_mints_and_no_app_mints_elsewhere(host: GitHost) -> None:
    ask = {"repositories": ["web"]}
    for token in (host.developer_token, host.store.deploy_token(WEB), host.root_key, host.minted()):
        assert host.mint(token, "acme", ask).status_code == 401
    assert host.mint(signed(), "other", ask).status_code == 404
    headers = {"authorization": f"Bearer {signed()}"}
    assert httpx2.get(host.address("/app"), headers=headers).json() == {"slug": CLIENT_ID}
    assert httpx2.get(host.address("/app/installations/acme"), headers=headers).status_code == 200
    assert httpx2.get(host.address("/app/installations/acme/access_tokens")).status_code == 405


def test_h2_a_credential_ends_when_it_is_revoked(host: GitHost, tmp_path: Path) -> None:
    first, second = host.minted(), host.minted()
    git("ls-remote", host.url(WEB, first), at=tmp_path)
    assert host.revoke(first) == 204
    refused(host, host.url(WEB, first), tmp_path)
    for other in (first, signed(), host.store.deploy_token(WEB), "envf_fetch_AAAA"):
        assert host.revoke(other) == 401
    git("ls-remote", host.url(WEB, second), at=tmp_path)


@pytest.mark.parametrize(
    "path",
    [
        "/acme/../acme/web.git/info/refs",
        "/acme/%2e%2e/acme/web.git/info/refs",
        "/acme/web.git/../../acme/web.git/info/refs",
        "/acme%2fweb.git/info/refs",
        "/acme/web%2egit/info/refs",
        "//acme/web.git/info/refs",
        "/acme/web.git//info/refs",
        "/acme/web.git/info/refs/",
        "/acme/web.git.git/info/refs",
        "/acme/..git/info/refs",
        "/acme/.git/info/refs",
        "/acme/we..b.git/info/refs",
        "/Acme/web.git/info/refs",
        "/acme/web.git\\info/refs",
        "/acme/web.git;x/info/refs",
        "/acme/web.git/HEAD",
        "/acme/web.git/config",
        "/acme/web.git/objects/info/packs",
        "/../developer-token",
        "/repositories/acme/web.git/info/refs",
        "/acme/" + "w" * 500 + "/info/refs",
    ],
)
def test_odd_paths_lead_nowhere(host: GitHost, path: str) -> None:
    # By hand: a client library would tidy the path first.
    with socket.create_connection(("127.0.0.1", host.port), timeout=10) as client:
        client.sendall(
            f"GET {path}?service=git-upload-pack HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"{basic(host.developer_token)}\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.split(b" ")[1] in {b"404", b"400"}
    assert b"refs/heads" not in answer


def test_a_symbolic_link_is_no_repository(host: GitHost, source: Path, tmp_path: Path) -> None:
    repositories = host.store.repositories
    (repositories / "acme" / "linked.git").symlink_to(source / ".git")
    (repositories / "linked").symlink_to(repositories / "acme")
    for name in (RepositoryName("acme", "linked"), RepositoryName("linked", "web")):
        assert "not found" in refused(host, host.push_url(name), tmp_path)
        assert name not in host.store.names()


def test_other_services_methods_and_hosts_are_refused(host: GitHost) -> None:
    auth = ("x", host.store.deploy_token(WEB))
    base = host.url(WEB)
    assert httpx2.get(f"{base}/info/refs", auth=auth).status_code == 404
    assert httpx2.get(f"{base}/info/refs?service=git-upload-archive", auth=auth).status_code == 404
    assert httpx2.get(f"{base}/info/refs?service=git-upload-pack&x=1", auth=auth).status_code == 404
    assert httpx2.get(f"{base}/git-upload-pack", auth=auth).status_code == 404
    assert httpx2.put(f"{base}/git-upload-pack", auth=auth).status_code == 404
    assert httpx2.post(f"{base}/git-upload-pack", auth=auth).status_code == 415
    rebound = httpx2.get(f"{base}/info/refs", auth=auth, headers={"host": "evil.test"})
    assert rebound.status_code == 400


def test_the_log_has_a_line_for_each_request_and_no_credential(host: GitHost, tmp_path: Path) -> None:
    host.log.write_text("")
    git("ls-remote", host.read_url(WEB), at=tmp_path)
    token = host.minted()
    git("ls-remote", host.url(WEB, token), at=tmp_path)
    refused(host, host.url(WEB, "hunter2"), tmp_path)
    said = host.log.read_text()
    for secret in (
        token,
        host.store.deploy_token(WEB),
        host.root_key,
        host.developer_token,
        "hunter2",
        "Basic ",
    ):
        assert secret not in said
    lines = [line for line in said.splitlines() if "local_cloud.git" in line]
    assert any("GET acme/web git-upload-pack deploy 200" in line for line in lines)
    assert any("POST acme/web git-upload-pack minted 200" in line for line in lines)
    assert any("GET acme/web git-upload-pack nobody 401" in line for line in lines)
    assert any("app access_tokens 201" in line for line in lines)


@pytest.mark.parametrize(
    ("header", "password"),
    [
        ("Basic eDp5", "y"),
        ("basic eDp5", "y"),
        ("Basic eDo=", "x"),
        ("Basic Og==", ""),
        ("Basic eA==", None),
        ("Basic !!!", None),
        ("Basic", None),
        ("Bearer eDp5", None),
        ("Basic /////w==", None),
        ("", None),
    ],
)
def test_a_basic_header_is_read_to_the_letter(header: str, password: str | None) -> None:
    assert password_of(header) == password
