"""git on a workspace's files: always as its account, without hooks, helpers, prompts or foreign configuration (THREATS H2).

The credential reaches one git process through its environment (git-config(1), GIT_CONFIG_COUNT): it is in no argument, no
URL and no file. It is given to `fetch` and `ls-remote` alone, which run in a repository that was made a moment before and holds no one's
configuration; what reads a working tree has none.
"""

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import urlsplit

from envforge_daemon.config import Config
from envforge_daemon.errors import DaemonError
from envforge_daemon.isolation import SHELL, Ran, Workspace
from envforge_daemon.isolation.workspace import PATH, Network
from envforge_protocol.host.runtimes import Limits
from envforge_protocol.host.workspaces import Repository

FETCHING_S = 900.0
ASKING_S = 30.0
WORKING_S = 300.0
LIMITS = Limits(memory_mib=1024, cpu_millis=2000, processes=64)

# Given with the command, so that nothing a repository says can undo it.
SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.sshCommand": "/bin/false",
    "core.askPass": "",
    "core.pager": "cat",
    "credential.helper": "",
    "protocol.allow": "never",
    "http.followRedirects": "false",
    "http.proxy": "",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "pack.windowMemory": "64m",
    "core.bigFileThreshold": "8m",
}

# Not a tree further up: `.git` itself must be here, and the directory be no link to elsewhere. No exit status of git's is this one.
NO_TREE = 90
IN_TREE = 'test -d "$1" -a ! -L "$1" -a -e "$1/.git" && cd -- "$1" || exit 90; shift; exec git "$@"'


class GitFailed(DaemonError):
    """git refused; the text says in our words why."""


def protocol_of(config: Config, url: str) -> str:
    """`https`, or `http` for the hosts that the VM's configuration names.

    Raises:
        GitFailed: any other address; says what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise GitFailed("The repository's address cannot be read. Correct it in the project.") from None
    if parts.username is not None or parts.password is not None:
        raise GitFailed(
            "The repository's address holds a name or password. Remove it: access is given by a credential."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise GitFailed("The repository's address must begin with https://. Correct it in the project.")
    if parts.scheme == "http" and f"{parts.hostname}:{port or 80}" not in config.plain_git_hosts:
        raise GitFailed(
            "The repository's address begins with http://, which anybody can listen to. Use https://."
        )
    return parts.scheme


def network_of(config: Config, url: str) -> Network:
    """Hosts that the VM's configuration names may be the machine's own; the others are reached as customers' code reaches them."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return "vm" if f"{parts.hostname}:{port}" in config.plain_git_hosts else "namespace"


def environment(settings: Mapping[str, str], *, allowed: str = "") -> dict[str, str]:
    """The complete environment of a git process; `allowed` is the one protocol it may speak."""
    numbered = {"GIT_CONFIG_COUNT": str(len(settings))}
    for index, (name, value) in enumerate(settings.items()):
        numbered |= {f"GIT_CONFIG_KEY_{index}": name, f"GIT_CONFIG_VALUE_{index}": value}
    return {
        "PATH": PATH,
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "C",
        "GIT_ALLOW_PROTOCOL": allowed,
        "GIT_PROTOCOL_FROM_USER": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "/bin/false",
        "SSH_ASKPASS": "/bin/false",
        "GIT_OPTIONAL_LOCKS": "0",
        **numbered,
    }


async def git(workspace: Workspace, *words: str, directory: str = ".", limit_bytes: int = 1 << 20) -> Ran:
    """Run git without network and without credential."""
    return await workspace.run(
        ("git", *words),
        account=SHELL,
        env=environment(SETTINGS),
        directory=directory,
        timeout_s=WORKING_S,
        limit_bytes=limit_bytes,
        limits=LIMITS,
        group="git",
    )


async def git_in_tree(workspace: Workspace, *words: str, directory: str) -> Ran | None:
    """The same in a directory that is a working tree itself; None where it is none. One process less than asking first."""
    ran = await workspace.run(
        ("sh", "-c", IN_TREE, "sh", directory, *words),
        account=SHELL,
        env=environment(SETTINGS),
        timeout_s=WORKING_S,
        limits=LIMITS,
        group="git",
    )
    return None if ran.exit_status == NO_TREE else ran


async def fetch(workspace: Workspace, repository: Repository, *, directory: str) -> None:
    """Fetch all branches and tags into a repository of ours.

    Raises:
        GitFailed: says why, with what to do next.
    """
    ran = await _ask(
        workspace,
        repository,
        *("fetch", "--no-recurse-submodules", "--tags", "--quiet", "--", repository.url),
        "+refs/heads/*:refs/remotes/origin/*",
        directory=directory,
        timeout_s=FETCHING_S,
    )
    if ran.timed_out:
        raise GitFailed("The repository did not arrive in time. Try again, or make it smaller.")
    if ran.exit_status:
        raise GitFailed(
            sentence(ran.output.decode(errors="replace"), urlsplit(repository.url).hostname or "")
        )


async def has_branch(workspace: Workspace, repository: Repository, *, directory: str) -> bool | None:
    """Whether the repository has the branch now, asked in a repository of ours; None where it does not say."""
    ran = await _ask(
        workspace,
        repository,
        *("ls-remote", "--exit-code", "--heads", "--", repository.url, f"refs/heads/{repository.branch}"),
        directory=directory,
        timeout_s=ASKING_S,
    )
    # git-ls-remote(1): 2 where nothing matches.
    return None if ran.timed_out else {0: True, 2: False}.get(ran.exit_status)


async def _ask(
    workspace: Workspace, repository: Repository, *words: str, directory: str, timeout_s: float
) -> Ran:
    """Run git with network, and with the credential where there is one."""
    protocol = protocol_of(workspace.config, repository.url)
    settings = dict(SETTINGS)
    credential = repository.credential
    if credential is not None:
        pair = f"{credential.username}:{credential.password.get_secret_value()}".encode()
        # Bound to the repository's own address: asked elsewhere, git sends none.
        settings[f"http.{repository.url}.extraHeader"] = f"Authorization: Basic {b64encode(pair).decode()}"
    settings[f"protocol.{protocol}.allow"] = "always"
    return await workspace.run(
        ("git", *words),
        account=SHELL,
        env=environment(settings, allowed=protocol),
        directory=directory,
        timeout_s=timeout_s,
        limit_bytes=64 << 10,
        limits=LIMITS,
        network=network_of(workspace.config, repository.url),
        group="git",
    )


# What git and libcurl say (in English, by LC_ALL), and what it means. git's own text is never passed on.
_WORDS = (
    (("could not resolve host",), "{host} is not known. Check the repository's address in the project."),
    (
        (
            "authentication failed",
            "could not read username",
            "could not read password",
            "error: 401",
            "error: 403",
        ),
        "{host} did not accept the credential. Connect the repository again, or give EnvForge access to it.",
    ),
    (
        ("repository not found", "' not found", "error: 404", "does not appear to be a git repository"),
        "{host} has no such repository, or does not show it to EnvForge. Check its address and EnvForge's access.",
    ),
    (
        ("no space left", "disk quota exceeded", "file too large"),
        "The workspace's files have no room left. Delete what is not needed, then try again.",
    ),
    (
        ("certificate", "ssl", "gnutls"),
        "{host} could not prove who it is (its TLS certificate is not accepted). Nothing was sent to it.",
    ),
    (
        (
            "failed to connect",
            "connection refused",
            "couldn't connect",
            "timed out",
            "too slow",
            "network is unreachable",
        ),
        "{host} does not answer. Try again in a while.",
    ),
    (
        ("redirect", "error: 301", "error: 302"),
        "The repository has moved. Write its new address into the project.",
    ),
    (
        ("bad object", "did not send all necessary objects"),
        "{host} sent damaged data. Check the repository.",
    ),
)


def sentence(said: str, host: str) -> str:
    """What a failed git said, in our words; nothing of its text, which may repeat what it was given."""
    lower = said.lower()
    for marks, words in _WORDS:
        if any(mark in lower for mark in marks):
            return words.format(host=host)
    return f"git could not read the repository from {host}. Try again; if it stays, check the repository."
