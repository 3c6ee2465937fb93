"""Working trees as they lie: read as the workspace's account, on whichever VM has its files (THREATS H2, W2)."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache

from envforge_daemon.errors import IsolationError
from envforge_daemon.isolation import Workspace
from envforge_daemon.shell.git import git_in_tree
from envforge_protocol.contract import BadContract, parse
from envforge_protocol.contract.digest import digest as contract_digest
from envforge_protocol.host.runtimes import Tree
from envforge_protocol.host.workspaces import Checkout, ContractFile

CONTRACT = "envforge.yml"
LONGEST_CONTRACT = 64 * 1024
AT_ONCE = 4


async def observe_all(workspace: Workspace, directories: Sequence[str]) -> tuple[Checkout, ...]:
    """Each of them as it is, some at once."""
    few = asyncio.Semaphore(AT_ONCE)

    async def look(directory: str) -> Checkout:
        async with few:
            return await observe(workspace, directory)

    return tuple(await asyncio.gather(*map(look, directories)))


async def changed(workspace: Workspace, told: Sequence[Tree]) -> tuple[Checkout, ...]:
    """Those that lie otherwise than was told, as they are. A contract that is what it was costs one small process."""
    few = asyncio.Semaphore(AT_ONCE)

    async def look(tree: Tree) -> Checkout | None:
        async with few:
            if tree.contract_digest:
                contract, _ = await read_contract(workspace, tree.directory)
                if contract is not None and contract.digest == tree.contract_digest:
                    return None
            found = await observe(workspace, tree.directory)
            digest = found.contract.digest if found.contract else ""
            # Where no contract can be read, there may be no tree any more either.
            return None if found.commit and digest == tree.contract_digest else found

    return tuple(found for found in await asyncio.gather(*map(look, told)) if found)


async def observe(workspace: Workspace, directory: str) -> Checkout:
    """A working tree as it is: branch, commit, whether something is not committed, its contract."""
    # The contract is read meanwhile: a wake may wait for this.
    reading = asyncio.ensure_future(read_contract(workspace, directory))
    try:
        status = await git_in_tree(
            workspace,
            *("status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--ignore-submodules=all"),
            directory=directory,
        )
        if status is None:
            return Checkout(
                directory=directory,
                problem=f"{directory} is no working tree of git. Move it away, and it will be checked out anew.",
            )
        contract, problem = await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    if status.exit_status:
        return Checkout(
            directory=directory,
            contract=contract,
            problem="git cannot read this working tree. Look at it in the shell with git status.",
        )
    head = commit = ""
    dirty = status.truncated
    for line in status.output.decode(errors="replace").splitlines():
        if line.startswith("# branch.head "):
            head = line.removeprefix("# branch.head ")
        elif line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ")
        elif not line.startswith("#"):
            dirty = True
    return Checkout(
        directory=directory,
        branch="" if head == "(detached)" else head,
        commit="" if commit == "(initial)" else commit,
        dirty=dirty,
        contract=contract,
        problem=problem,
    )


async def read_contract(workspace: Workspace, directory: str) -> tuple[ContractFile | None, str]:
    """`envforge.yml` of a tree, and what keeps it from being read; its digest is empty where it is no valid contract."""
    try:
        content = await workspace.read_file(f"{directory}/{CONTRACT}", limit=LONGEST_CONTRACT)
    except IsolationError:
        return None, f"{CONTRACT} must be a regular file of at most 64 KiB, and no link."
    if content is None:
        return None, ""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None, f"{CONTRACT} is not UTF-8 text."
    digest = _digest(content)
    return ContractFile(text=text, digest=digest), "" if digest else (
        f"{CONTRACT} has mistakes; the project's page lists them."
    )


@lru_cache(maxsize=64)
def _digest(content: bytes) -> str:
    """Of a contract, empty where it is none. The same text is read at each wake, and understood once."""
    try:
        return contract_digest(parse(content))
    except BadContract:
        return ""
