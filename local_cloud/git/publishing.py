"""The example repositories, put on the git host from examples/ as commits of their own."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from local_cloud.git.names import RepositoryName
from local_cloud.git.program import git
from local_cloud.git.store import Store
from local_cloud.home import REPOSITORY

EXAMPLES = {
    RepositoryName("acme", "scheduler-web"): REPOSITORY / "examples" / "scheduler-web",
    RepositoryName("acme", "scheduler-backend"): REPOSITORY / "examples" / "scheduler-backend",
}
BRANCH = "main"
# The same content is the same commit on every machine.
_IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (
        ("NAME", "EnvForge examples"),
        ("EMAIL", "examples@envforge.localhost"),
        ("DATE", "2026-01-05T09:00:00Z"),
    )
}
# What we put there last. The branch is ours to move for as long as it still stands there.
_OURS = "refs/envforge/published"


def publish_examples(store: Store) -> list[RepositoryName]:
    """Bring each example's branch up to its directory's content; returns those that changed.

    A branch to which somebody has pushed since is left alone.
    """
    return [name for name, directory in EXAMPLES.items() if _publish(store, name, directory)]


@dataclass(frozen=True, slots=True)
class Published:
    """What a branch of an example holds now, which may be somebody's later work; `contract` is its envforge.yml."""

    commit: str
    contract: str


def published(store: Store, name: RepositoryName) -> Published | None:
    """What a VM would find in the example's branch, or None where there is no repository, branch or file."""
    repository = store.find(name)
    if repository is None:
        return None
    commit = git("for-each-ref", "--format=%(objectname)", f"refs/heads/{BRANCH}", at=repository)
    if not commit or not git("ls-tree", "--name-only", commit, "envforge.yml", at=repository):
        return None
    return Published(commit, git("show", f"{commit}:envforge.yml", at=repository) + "\n")


def _publish(store: Store, name: RepositoryName, directory: Path) -> bool:
    repository = store.find(name)
    if repository is None:
        with store.making(name, BRANCH) as made:
            _commit(made, directory, f"Begin {name.name}")
        return True
    branch, ours = (
        git("for-each-ref", "--format=%(objectname)", ref, at=repository)
        for ref in (f"refs/heads/{BRANCH}", _OURS)
    )
    if branch != ours:
        return False
    return _commit(repository, directory, f"Take over the changes of {name.name}")


def _commit(repository: Path, directory: Path, message: str) -> bool:
    """Commit a directory's content if it differs from the branch's, and move the branch and our mark together."""
    with tempfile.TemporaryDirectory(prefix="envforge-examples-") as scratch:
        index = {
            "GIT_DIR": str(repository),
            "GIT_WORK_TREE": str(directory),
            "GIT_INDEX_FILE": f"{scratch}/index",
        }
        git("add", "--all", ".", at=directory, extra=index)
        tree = git("write-tree", at=directory, extra=index)
    before = git("for-each-ref", "--format=%(objectname) %(tree)", f"refs/heads/{BRANCH}", at=repository)
    parent, _, parent_tree = before.partition(" ")
    if tree == parent_tree:
        return False
    parents = ("-p", parent) if parent else ()
    commit = git("commit-tree", tree, *parents, "-m", message, at=repository, extra=_IDENTITY)
    none = "0" * len(commit)
    moves = "".join(f"update {ref} {commit} {parent or none}\n" for ref in (f"refs/heads/{BRANCH}", _OURS))
    git("update-ref", "--stdin", at=repository, content=moves)
    return True
