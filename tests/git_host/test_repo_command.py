"""`./dev repo` as a person meets it, and the examples on the git host."""

import shutil
import subprocess
from pathlib import Path

import pytest

from local_cloud.git import publishing
from local_cloud.git.names import RepositoryName, suggested
from local_cloud.git.store import Store
from local_cloud.home import Home
from tests.git_host.conftest import commit, git
from tests.local_cloud.conftest import home  # noqa: F401 - a fixture
from tests.local_cloud.test_commands import finish, start


def repo(home: Home, *words: str | Path) -> tuple[int, str]:  # noqa: F811
    return finish(start(home, "repo", *map(str, words)))


def test_a_repository_comes_is_listed_grows_and_goes(home: Home, source: Path) -> None:  # noqa: F811
    code, said = repo(home, "add", source, "--name", "acme/web")
    assert code == 0, said
    assert "acme/web is there: 2 branches, the default one is main." in said
    assert "http://localhost:8040/acme/web.git" in said
    assert "while ./dev up runs" in said
    code, said = repo(home, "list")
    assert code == 0
    assert "envf_" not in said
    commit(source, "b.txt", "new\n")
    code, said = repo(home, "add", source, "--name", "acme/web")
    assert "acme/web is up to date" in said
    git("commit", "-q", "--amend", "-m", "Another", at=source)
    code, said = repo(home, "add", source, "--name", "acme/web")
    assert code == 1
    assert "./dev repo remove acme/web" in said
    code, said = repo(home, "remove", "acme/web")
    assert code == 1
    assert "--yes" in said
    assert repo(home, "remove", "acme/web", "--yes")[0] == 0
    assert "There are no repositories yet" in repo(home, "list")[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "usage: ./dev repo"),
        (("ad",), "usage: ./dev repo"),
        (("add",), "required: DIRECTORY"),
        (("add", "/nonexistent/place"), "There is no directory /nonexistent/place."),
        (("add", "/etc/passwd"), "is a file"),
        (("add", "docs"), "is a part of the repository"),
        (("add", ".", "--name", "../x"), "cannot be a repository's name"),
        (("add", ".", "--name", "x.git"), "cannot be a repository's name"),
        (("add", "/"), "No name can be made"),
        (("show", "acme/none"), "There is no repository acme/none. There are: none yet."),
        (("remove", "none", "--yes"), "There is no repository local/none."),
    ],
)
def test_bad_input_is_told_what_to_do(home: Home, words: tuple[str, ...], told: str) -> None:  # noqa: F811
    code, said = repo(home, *words)
    assert code == 1
    assert told in said
    assert "Traceback" not in said


def test_what_is_no_whole_repository_is_refused_or_made_one(home: Home, tmp_path: Path, source: Path) -> None:  # noqa: F811
    plain = tmp_path / "My Project"
    plain.mkdir()
    assert "--init" in repo(home, "add", plain)[1]
    code, said = repo(home, "add", plain, "--init")
    assert code == 1
    assert "no file to commit" in said
    assert not (plain / ".git").exists()
    (plain / "a.txt").write_text("a\n")
    code, said = repo(home, "add", plain, "--init")
    assert code == 0, said
    assert "local/my-project is there: 1 branch" in said

    empty = tmp_path / "empty"
    subprocess.run(["git", "init", "-q", empty], check=True)
    assert "no branch with a commit yet" in repo(home, "add", empty)[1]
    git("clone", "-q", "--depth", "1", f"file://{source}", "shallow", at=tmp_path)
    assert "fetch --unshallow" in repo(home, "add", tmp_path / "shallow")[1]


def test_a_hook_of_the_added_repository_is_not_run(home: Home, source: Path, tmp_path: Path) -> None:  # noqa: F811
    hook = source / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\nexit 1\n")
    hook.chmod(0o755)
    assert repo(home, "add", source)[0] == 0
    assert not (tmp_path / "ran").exists()


def test_names_are_made_of_directories() -> None:
    assert suggested("My Project.git") == "my-project"
    assert suggested("Ünï") == "n"
    assert suggested("日本") == ""


def test_examples_are_commits_that_follow_their_directory_until_somebody_pushes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = RepositoryName("acme", "scheduler-web")
    directory = tmp_path / "web"
    shutil.copytree(publishing.EXAMPLES[web], directory, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(publishing, "EXAMPLES", {web: directory})
    store, other = Store(tmp_path / "one"), Store(tmp_path / "two")
    assert publishing.publish_examples(store) == publishing.publish_examples(other) == [web]
    bare, second = store.find(web), other.find(web)
    assert bare is not None
    assert second is not None
    first = git("rev-parse", "main", at=bare)
    assert first == git("rev-parse", "main", at=second)  # the same on every machine
    assert publishing.publish_examples(store) == []
    (directory / "README.md").write_text("changed\n")
    assert publishing.publish_examples(store) == [web]
    assert git("rev-list", "--count", "main", at=bare) == "2\n"
    git("clone", "-q", str(bare), "copy", at=tmp_path)
    assert (tmp_path / "copy" / "README.md").read_text() == "changed\n"
    assert (tmp_path / "copy" / "envforge.yml").is_file()
    commit(tmp_path / "copy", "mine.txt", "mine\n")
    git("push", "-q", at=tmp_path / "copy")
    (directory / "README.md").write_text("changed again\n")
    assert publishing.publish_examples(store) == []
    assert git("rev-list", "--count", "main", at=bare) == "3\n"
