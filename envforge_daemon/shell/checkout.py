"""Working trees: made once, whole or not at all, and never touched again (W5).

A tree is fetched and checked out beside its place and then renamed into it, so that what stands in place is complete. What
an interrupted attempt left beside it is deleted and made anew.
"""

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import Workspace
from envforge_daemon.services.values import Ask
from envforge_daemon.shell.access import with_credential
from envforge_daemon.shell.git import GitFailed, fetch, git, has_branch, protocol_of, sentence
from envforge_daemon.trees import observe
from envforge_protocol.host.workspaces import Checkout, Repository

NEW_TREES = ".envforge-new"


async def check_out(workspace: Workspace, repository: Repository, ask: Ask) -> Checkout:
    """The repository's working tree as it is, made first if it is not there; a problem is told, not raised."""
    try:
        repository = await with_credential(repository, ask)
    except GitFailed as error:
        if await _is_free(workspace, repository.directory):
            return Checkout(directory=repository.directory, problem=str(error))
        # What lies there needs none.
        return await observe(workspace, repository.directory)
    try:
        if await _is_free(workspace, repository.directory):
            await _make(workspace, repository)
        there = await _has_branch(workspace, repository)
        found = await observe(workspace, repository.directory)
        return found.model_copy(update={"branch_is_there": there})
    except GitFailed as error:
        return Checkout(directory=repository.directory, problem=str(error))
    except IsolationError:
        return Checkout(
            directory=repository.directory,
            problem="git could not be started for this repository. Try again; if it stays, replace the VM.",
        )


async def _is_free(workspace: Workspace, directory: str) -> bool:
    found = await workspace.run(("test", "!", "-e", directory, "-a", "!", "-L", directory), group="git")
    return found.exit_status == 0


async def _make(workspace: Workspace, repository: Repository) -> None:
    protocol_of(workspace.config, repository.url)
    new = f"{NEW_TREES}/{repository.directory}"
    await _delete(workspace, new)
    try:
        await workspace.make_directory(NEW_TREES, mode=0o2770)
        await workspace.make_directory(new)
    except IsolationError:
        raise GitFailed(
            f"The workspace's files cannot be written, or something else lies at {NEW_TREES}. "
            "Make room or move it away, then try again."
        ) from None
    try:
        # Without templates: no hook of the VM's is copied.
        await _must(workspace, "init", "--quiet", "--template=", directory=new)
        await fetch(workspace, repository, directory=new)
        await _must(workspace, "remote", "add", "origin", "--", repository.url, directory=new)
        branch = await _branch(workspace, repository, new)
        await _must(
            workspace,
            "update-ref",
            "--",
            f"refs/heads/{branch}",
            f"refs/remotes/origin/{branch}",
            directory=new,
        )
        for name, value in (("remote", "origin"), ("merge", f"refs/heads/{branch}")):
            await _must(workspace, "config", "--", f"branch.{branch}.{name}", value, directory=new)
        await _must(workspace, "symbolic-ref", "HEAD", f"refs/heads/{branch}", directory=new)
        await _must(workspace, "reset", "--hard", "--quiet", directory=new)
        # -T: into a directory that appeared meanwhile it would be moved, where nobody looks for it.
        moved = await workspace.run(("mv", "-nT", "--", new, repository.directory), group="git")
        if moved.exit_status or not await _is_free(workspace, new):
            raise GitFailed(
                f"Something else appeared at {repository.directory} meanwhile; it was left as it is."
            )
    finally:
        await _delete(workspace, new)


async def _has_branch(workspace: Workspace, repository: Repository) -> bool | None:
    """Whether the repository has the workspace's branch now; nothing that does not answer is a problem of the tree."""
    place = f"{NEW_TREES}/{repository.directory}"
    try:
        await workspace.make_directory(NEW_TREES, mode=0o2770)
        await workspace.make_directory(place)
        await _must(workspace, "init", "--quiet", "--template=", directory=place)
        return await has_branch(workspace, repository, directory=place)
    except (GitFailed, IsolationError):
        return None
    finally:
        await _delete(workspace, place)


async def _branch(workspace: Workspace, repository: Repository, new: str) -> str:
    for branch in dict.fromkeys((repository.branch, repository.fallback_branch)):
        found = await git(
            workspace,
            "rev-parse",
            "--verify",
            "--quiet",
            f"refs/remotes/origin/{branch}^{{commit}}",
            directory=new,
        )
        if found.exit_status == 0:
            return branch
    refs = await git(workspace, "for-each-ref", "--count=1", "refs/remotes/origin", directory=new)
    if not refs.output.strip():
        raise GitFailed("The repository is empty. Push a first commit, then try again.")
    raise GitFailed(
        f"The repository has neither a branch {repository.branch} nor {repository.fallback_branch}. "
        "Push one of them, or choose another branch."
    )


async def _must(workspace: Workspace, *words: str, directory: str) -> None:
    ran = await git(workspace, *words, directory=directory)
    if ran.exit_status:
        raise GitFailed(sentence(ran.output.decode(errors="replace"), "The repository"))


async def _delete(workspace: Workspace, path: str) -> None:
    await workspace.run(("rm", "-rf", "--", path), group="git", timeout_s=300)
