"""The credential of a repository, read by the VM itself from the parameter the customer keeps it in (THREATS H2, S1)."""

from pydantic import SecretStr

from envforge_daemon.errors import Unreachable
from envforge_daemon.services.values import Ask, Unresolved, resolve
from envforge_daemon.shell.git import GitFailed
from envforge_protocol.host.workspaces import Repository, RepositoryCredential

# What Git hosts take beside a token, whatever its kind.
USER = "x-access-token"
GONE = "The secret that gives access to this repository is gone. Set it again, or choose another one."


async def with_credential(repository: Repository, ask: Ask) -> Repository:
    """The repository with its credential, in memory for this fetch alone; as it is where anybody may read it.

    Raises:
        GitFailed: it could not be read, or no credential could be had; says what to do.
    """
    if repository.unreadable:
        raise GitFailed(repository.unreadable)
    if repository.access is None or repository.credential is not None:
        return repository
    if repository.reader is None:
        raise GitFailed(GONE)
    try:
        values = await resolve((repository.access,), (repository.reader,), ask)
    except Unresolved:
        raise GitFailed(GONE) from None
    except Unreachable:
        raise GitFailed(
            "The secret that gives access to this repository could not be read. Try again in a while."
        ) from None
    credential = RepositoryCredential(
        username=USER,
        password=SecretStr(values[repository.access.input]),
        expires_at=repository.reader.expires_at,
    )
    return repository.model_copy(update={"credential": credential})
