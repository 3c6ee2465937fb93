"""The repositories of one home on disk, and the token that reads each of them.

    DIR/repositories/OWNER/NAME.git   bare
    DIR/tokens/OWNER/NAME             the deploy token
    DIR/incoming/                     what is being made

The server and ./dev repo use it side by side: a repository appears and goes in one rename, and git itself orders the rest.
"""

import contextlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_cloud.errors import LocalCloudError
from local_cloud.git.names import RepositoryName
from local_cloud.git.program import git

DEPLOY_PREFIX = "envf_deploy_"
ABANDONED_AFTER_S = 3600.0
_QUARANTINE = "objects/tmp_objdir-*"


class Store:
    """The repositories under one directory, which only its owner may enter."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.repositories = directory / "repositories"
        self._tokens = directory / "tokens"
        self._incoming = directory / "incoming"
        for path in (directory, self.repositories, self._tokens, self._incoming):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def names(self) -> list[RepositoryName]:
        """Every repository there is, in order."""
        found = (
            RepositoryName.known(f"{path.parent.name}/{path.name.removesuffix('.git')}")
            for path in self.repositories.glob("*/*.git")
        )
        return sorted(name for name in found if name is not None and self.find(name) is not None)

    def find(self, name: RepositoryName) -> Path | None:
        """A repository's directory, or None; a symbolic link is none, wherever it leads."""
        owner = self.repositories / name.owner
        path = owner / f"{name.name}.git"
        return path if _is_directory(owner) and _is_directory(path) else None

    def deploy_token(self, name: RepositoryName) -> str:
        """The token that reads this repository; it must exist."""
        return self._token_file(name).read_text()

    def branches(self, name: RepositoryName) -> list[str]:
        """The branches of a repository, the default one first."""
        path = self._require(name)
        default = git("symbolic-ref", "--short", "HEAD", at=path)
        listed = git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", at=path).splitlines()
        return sorted(listed, key=lambda branch: (branch != default, branch))

    @contextmanager
    def making(self, name: RepositoryName, default_branch: str) -> Iterator[Path]:
        """An empty bare repository to fill, which is there for others when the block ends well.

        Raises:
            LocalCloudError: there is one of that name.
        """
        path = self._incoming / secrets.token_hex(8)
        path.mkdir(mode=0o700)
        try:
            git("init", "--quiet", "--bare", "--template=", f"--initial-branch={default_branch}", at=path)
            yield path
            token = self._token_file(name)
            token.parent.mkdir(mode=0o700, exist_ok=True)
            final = self.repositories / name.owner / f"{name.name}.git"
            final.parent.mkdir(mode=0o700, exist_ok=True)
            if os.path.lexists(final):
                raise LocalCloudError(f"There is a repository {name} already.")
            _write_once(token, DEPLOY_PREFIX + secrets.token_urlsafe(30))
            path.rename(final)
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def remove(self, name: RepositoryName) -> None:
        """Take a repository and its token away.

        Raises:
            LocalCloudError: there is none of that name.
        """
        path = self._require(name)
        gone = self._incoming / secrets.token_hex(8)
        path.rename(gone)
        self._token_file(name).unlink(missing_ok=True)
        shutil.rmtree(gone)

    def tidy(self) -> None:
        """Remove what commands and pushes that were killed left behind; what is young may still be at work."""
        for path in (*self._incoming.iterdir(), *self.repositories.glob(f"*/*.git/{_QUARANTINE}")):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.lstat().st_mtime > ABANDONED_AFTER_S:
                    shutil.rmtree(path, ignore_errors=True)

    def _token_file(self, name: RepositoryName) -> Path:
        return self._tokens / name.owner / name.name

    def _require(self, name: RepositoryName) -> Path:
        path = self.find(name)
        if path is None:
            have = ", ".join(map(str, self.names())) or "none yet"
            raise LocalCloudError(f"There is no repository {name}. There are: {have}.")
        return path


def kept_key(path: Path, prefix: str) -> str:
    """A random key in a file that only its owner may read, made at the first call; safe beside other processes.

    Raises:
        LocalCloudError: the file is there and holds no such key.
    """
    if not path.exists():
        partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        _write_once(partial, prefix + secrets.token_urlsafe(30))
        try:
            path.hardlink_to(partial)
        except FileExistsError:
            pass  # another process was first: its key counts
        finally:
            partial.unlink()
    key = path.read_text()
    if not key.startswith(prefix) or len(key) < len(prefix) + 40:
        raise LocalCloudError(f"{path} holds no key; remove it and start again.")
    return key


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _write_once(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
