"""Clone, fetch and push through the door, by git itself."""

import gzip
import os
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

import httpx2
import pytest

from local_cloud.git.names import RepositoryName
from tests.git_host.conftest import BACKEND, CLIENT, WEB, GitHost, basic, commit, git

LARGE_BYTES = 50 * 1024 * 1024


def test_a_clone_has_every_branch_and_tag(host: GitHost, tmp_path: Path) -> None:
    git("clone", "-q", host.read_url(WEB), "copy", at=tmp_path)
    refs = git("for-each-ref", "--format=%(refname)", at=tmp_path / "copy")
    assert "refs/remotes/origin/feature/one" in refs
    assert "refs/tags/v1" in refs
    assert git("branch", "--show-current", at=tmp_path / "copy") == "main\n"


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_every_protocol_version_is_spoken(host: GitHost, tmp_path: Path, version: str) -> None:
    said = git(
        *("-c", f"protocol.version={version}", "ls-remote", host.read_url(WEB)),
        at=tmp_path,
        GIT_TRACE_PACKET="1",
    )
    assert ("< version 2" in said) is (version == "2")
    assert "refs/heads/feature/one" in said


def test_a_fetch_takes_as_much_history_as_it_asks_for(host: GitHost, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    git("clone", "-q", "--depth", "1", "--branch", "feature/one", host.read_url(WEB), "copy", at=tmp_path)
    assert git("rev-list", "--count", "HEAD", at=copy) == "1\n"
    git("fetch", "-q", "--deepen", "1", at=copy)
    assert git("rev-list", "--count", "HEAD", at=copy) == "2\n"
    git("fetch", "-q", "--unshallow", at=copy)
    assert git("rev-list", "--count", "HEAD", at=copy) == "3\n"
    git("clone", "-q", "--filter=blob:none", host.read_url(WEB), "lean", at=tmp_path)
    assert (tmp_path / "lean" / "a.txt").read_text() == "2\n"


def test_a_push_arrives_and_a_later_fetch_has_it(host: GitHost, tmp_path: Path) -> None:
    for name in ("one", "two"):
        git("clone", "-q", host.push_url(WEB), name, at=tmp_path)
    commit(tmp_path / "one", "b.txt", "new\n")
    git("push", "-q", "origin", "main", "main:refs/heads/other", at=tmp_path / "one")
    git("pull", "-q", at=tmp_path / "two")
    assert (tmp_path / "two" / "b.txt").read_text() == "new\n"
    git("push", "-q", "origin", ":other", at=tmp_path / "two")
    assert "other" not in git("ls-remote", host.read_url(WEB), at=tmp_path)


def test_a_body_may_be_compressed(host: GitHost) -> None:
    ask = b"0014command=ls-refs\n00010009peel\n0000"
    answer = httpx2.post(
        host.url(WEB) + "/git-upload-pack",
        content=gzip.compress(ask),
        headers={
            "content-encoding": "gzip",
            "content-type": "application/x-git-upload-pack-request",
            "git-protocol": "version=2",
        },
        auth=("x", host.store.deploy_token(WEB)),
    )
    assert answer.status_code == 200
    assert b"refs/heads/feature/one" in answer.content


def test_fifty_megabytes_pass_both_ways_without_staying_in_memory(host: GitHost, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    git("clone", "-q", host.push_url(WEB), "copy", at=tmp_path)
    git("clone", "-q", host.read_url(WEB), "first", at=tmp_path)
    before = host.peak_kib
    commit(copy, "large.bin", os.urandom(LARGE_BYTES))
    git("push", "-q", at=copy)  # chunked: longer than http.postBuffer
    git("clone", "-q", host.read_url(WEB), "second", at=tmp_path)
    assert (tmp_path / "second" / "large.bin").stat().st_size == LARGE_BYTES
    assert host.peak_kib - before < 8 * 1024
    carried = [line for line in host.log.read_text().splitlines() if "in=5" in line]
    assert len(carried) == 1  # the push went through the process that was measured


def test_a_server_killed_in_the_middle_of_a_push_leaves_the_repository_sound(
    host: GitHost, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    git("clone", "-q", host.push_url(WEB), "copy", at=tmp_path)
    commit(copy, "large.bin", os.urandom(LARGE_BYTES))
    bare = host.store.find(WEB)
    assert bare is not None
    before = git("for-each-ref", at=bare)
    pushing = subprocess.Popen(
        ["git", "-C", str(copy), "push", "-q"],
        env=CLIENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _until(lambda: any(bare.glob("objects/tmp_objdir-*/**/tmp_*")))
    host.process.send_signal(signal.SIGKILL)
    assert pushing.wait(60) != 0
    host.process.wait(10)
    assert git("for-each-ref", at=bare) == before
    git("fsck", "--full", "--strict", at=bare)
    host.start()
    git("push", "-q", at=copy)
    git("fsck", "--full", "--strict", at=bare)
    git("clone", "-q", host.read_url(WEB), "again", at=tmp_path)
    assert (tmp_path / "again" / "large.bin").stat().st_size == LARGE_BYTES


def test_a_client_that_goes_away_leaves_no_process_and_no_refs(host: GitHost) -> None:
    bare = host.store.find(WEB)
    assert bare is not None
    before = git("for-each-ref", at=bare)
    head = (
        f"POST /{WEB}.git/git-receive-pack HTTP/1.1\r\nHost: localhost:{host.port}\r\n"
        "Content-Type: application/x-git-receive-pack-request\r\nContent-Length: 1000000\r\n"
    )
    with socket.create_connection(("127.0.0.1", host.port)) as client:
        client.sendall(f"{head}{basic(host.developer_token)}\r\n\r\n".encode() + b"0" * 1000)
        _until(lambda: _children(host.process.pid) > 0)
    _until(lambda: _children(host.process.pid) == 0)
    assert git("for-each-ref", at=bare) == before


def test_two_hosts_do_not_share_a_directory(host: GitHost, tmp_path: Path) -> None:
    second = GitHost(tmp_path)
    second.port, second.log = second.port + 1, tmp_path / "second.log"
    with pytest.raises(AssertionError, match="Another git host is using"):
        second.start()


def test_tokens_outlive_a_restart_and_lie_in_private_files(host: GitHost, tmp_path: Path) -> None:
    url = host.read_url(WEB)
    assert host.stop() == 0
    host.start()
    git("ls-remote", url, at=tmp_path)
    state = host.store.directory
    for path in (state, state / "tokens", state / "repositories"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in (state / "root-key", state / "developer-token", state / "tokens" / "acme" / "web"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_abandoned_is_tidied_and_what_is_at_work_is_not(host: GitHost) -> None:
    bare = host.store.find(BACKEND)
    assert bare is not None
    old, young = (bare / "objects" / f"tmp_objdir-incoming-{name}" for name in ("old", "young"))
    for path in (old, young):
        path.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    host.stop()
    host.start()
    assert (old.exists(), young.exists()) == (False, True)


def test_a_removed_repository_is_gone_and_its_name_is_free(
    host: GitHost, source: Path, tmp_path: Path
) -> None:
    url = host.read_url(WEB)
    host.store.remove(WEB)
    git("ls-remote", url, at=tmp_path, ok=False)
    assert host.store.names() == [BACKEND]
    with host.store.making(WEB, "main"):
        pass
    assert host.store.names() == [BACKEND, WEB]
    assert "Authentication failed" in git("ls-remote", url, at=tmp_path, ok=False)
    assert RepositoryName.known("acme/none") not in host.store.names()


def _children(pid: int) -> int:
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def _until(so: object) -> None:
    assert callable(so)
    deadline = time.monotonic() + 30
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.005)
