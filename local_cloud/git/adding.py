"""Taking a repository of this machine over to the git host: looked at first, so that a refusal says what to do."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from local_cloud.errors import LocalCloudError
from local_cloud.git.names import RepositoryName
from local_cloud.git.program import GitFailedError, git
from local_cloud.git.store import Store

_INITIAL_BRANCH = "main"
_IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "EnvForge"), ("EMAIL", "developer@envforge.localhost"))
}
_REFSPECS = ("refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*")


@dataclass(frozen=True)
class Source:
    """A repository that can be taken over whole."""

    directory: Path
    branches: tuple[str, ...]
    default_branch: str

    @classmethod
    def of(cls, directory: Path) -> "Source":
        """Look at a directory.

        Raises:
            LocalCloudError: it is no repository, has no commit or only part of its history; says what to do.
        """
        _require_repository(directory)
        if git("rev-parse", "--is-shallow-repository", at=directory) == "true":
            raise LocalCloudError(
                f"{directory} has only the end of its history (a shallow clone). "
                f"Fetch the rest: git -C {directory} fetch --unshallow"
            )
        branches = git(
            "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", at=directory
        ).splitlines()
        if not branches:
            raise LocalCloudError(
                f"{directory} has no branch with a commit yet. Commit something there (git add . && git commit), "
                "or put it on a branch (git switch -c main), and try again."
            )
        return cls(directory, tuple(branches), _default_of(directory, branches))


def initialize(directory: Path) -> bool:
    """Make a directory a repository with one commit of its files; nothing happens if it is one.

    Raises:
        LocalCloudError: it is no directory, or has no file to commit.
    """
    _require_directory(directory)
    if _top_of(directory) == directory:
        return False
    git("init", "--quiet", "--template=", f"--initial-branch={_INITIAL_BRANCH}", at=directory)
    try:
        _commit_all(directory)
    except LocalCloudError:
        shutil.rmtree(directory / ".git")  # made a moment ago
        raise
    return True


def _commit_all(directory: Path) -> None:
    git("add", "--all", at=directory)
    if not git("ls-files", at=directory):
        raise LocalCloudError(f"{directory} has no file to commit. Put something there and try again.")
    git("commit", "--quiet", "-m", "Begin", at=directory, extra=_IDENTITY)


def add(store: Store, name: RepositoryName, source: Source) -> bool:
    """Push every branch and tag; True if the repository is new, False if it was there and is up to date now.

    Raises:
        LocalCloudError: what is there has gone another way.
    """
    existing = store.find(name)
    if existing is None:
        with store.making(name, source.default_branch) as made:
            _push(source, made)
        return True
    try:
        _push(source, existing)
    except GitFailedError as error:
        if "rejected" not in str(error):
            raise
        raise LocalCloudError(
            f"There is a repository {name} already, with a history that {source.directory} does not continue.\n"
            f"Give this one another name (--name), or remove that one first: ./dev repo remove {name}"
        ) from None
    return False


def _push(source: Source, target: Path) -> None:
    # Straight into the directory: one git orders its writers, whoever starts it.
    git("push", "--quiet", "--atomic", "--no-verify", str(target), *_REFSPECS, at=source.directory)


def _require_directory(directory: Path) -> None:
    if not directory.exists():
        raise LocalCloudError(f"There is no directory {directory}.")
    if not directory.is_dir():
        raise LocalCloudError(f"{directory} is a file. Name the directory of a git repository.")


def _require_repository(directory: Path) -> None:
    _require_directory(directory)
    top = _top_of(directory)
    if top is None:
        raise LocalCloudError(
            f"{directory} is not a git repository. Make it one (git init, git add ., git commit), or have it made: "
            f"./dev repo add {directory} --init"
        )
    if top != directory:
        raise LocalCloudError(
            f"{directory} is a part of the repository {top}. Add that one, or have a repository of its own made here: "
            f"./dev repo add {directory} --init"
        )


def _top_of(directory: Path) -> Path | None:
    """The directory of the repository that a directory lies in, or None."""
    try:
        if git("rev-parse", "--is-bare-repository", at=directory) == "true":
            return Path(git("rev-parse", "--absolute-git-dir", at=directory)).resolve()
        return Path(git("rev-parse", "--show-toplevel", at=directory)).resolve()
    except GitFailedError as error:
        if "not a git repository" in str(error):
            return None
        if "dubious ownership" in str(error):
            raise LocalCloudError(
                f"{directory} belongs to another account, and git does not read such repositories. "
                "Run ./dev as that account, or clone it and add the clone."
            ) from None
        raise


def _default_of(directory: Path, branches: list[str]) -> str:
    """The branch that is checked out, else the usual ones, else the first."""
    head = git("rev-parse", "--abbrev-ref", "HEAD", at=directory)
    return next((name for name in (head, "main", "master") if name in branches), branches[0])
