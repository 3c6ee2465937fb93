"""Working trees from a real git host: what is made, what is left alone, and what hostile files cannot do (THREATS H2)."""

import asyncio
import base64
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from envforge_protocol.contract import parse
from envforge_protocol.contract.digest import digest
from envforge_protocol.host import commands as wire
from envforge_protocol.host.reports import ContractChanged
from envforge_protocol.host.workspaces import Checkout, Repository, RepositoryCredential, Workspace
from local_cloud.git.adding import Source, add
from local_cloud.git.names import RepositoryName
from tests.daemon.machine import Machine, next_port
from tests.daemon.shells import LIMITS, Shelled, Terminal
from tests.git_host.conftest import BACKEND, WEB, GitHost, commit, git

Play = Callable[..., None]

CONTRACT = """\
version: 1
service:
  name: web
command: python3 -m http.server
ports:
  web: 3000
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    made.mkdir()
    git("init", "-q", "-b", "main", at=made)
    commit(made, "a.txt", "one\n")
    git("branch", "feature/one", at=made)
    return made


@pytest.fixture
def host(tmp_path: Path, source: Path) -> Iterator[GitHost]:
    running = GitHost(tmp_path)
    for name in (WEB, BACKEND):
        add(running.store, name, Source.of(source))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def on_a_shell(behind_walls: Play, host: GitHost) -> Play:
    def run(scene: Callable[[Shelled], object]) -> None:
        async def play(vm: Machine) -> None:
            shell = await Shelled.start(vm)
            try:
                await scene(shell)  # type: ignore[misc]
            finally:
                await shell.stop()

        plain = [f"{name}:{port}" for name in ("localhost", "nowhere.invalid") for port in (host.port, 9)]
        behind_walls(play, ssh_port=next_port(), plain_git_hosts=plain)

    return run


def of(
    host: GitHost,
    name: RepositoryName = WEB,
    *,
    password: str | None = None,
    branch: str = "main",
    **more: str,
) -> Repository:
    secret = host.store.deploy_token(name) if password is None else password
    return Repository.model_validate(
        {
            "directory": name.name,
            "url": host.url(name),
            "branch": branch,
            "fallback_branch": "main",
            "credential": RepositoryCredential.model_validate(
                {"username": "x", "password": secret, "expires_at": datetime.now(UTC)}
            )
            if secret
            else None,
            **more,
        }
    )


async def prepare(shell: Shelled, one: Workspace, *repositories: Repository) -> tuple[Checkout, ...]:
    prepared = await shell.do(
        wire.PrepareShell(
            workspace=one,
            repositories=repositories,
            certificate_authority=shell.authority.line,
            shell_limits=LIMITS,
        )
    )
    made = shell.vm.workspaces.get(one.id)
    if made is not None and made not in shell.vm.made:
        shell.vm.made.append(made)
    return tuple(prepared.checkouts)


def files(shell: Shelled) -> Path:
    return shell.vm.made[0].directory


async def sh(shell: Shelled, script: str) -> str:
    ran = await shell.vm.made[0].run(("bash", "-c", script))
    assert ran.exit_status == 0, ran.output
    return ran.output.decode()


SETUP = "git config user.name Bob && git config user.email bob@acme.test"


def test_repositories_are_checked_out_once_and_then_left_alone(
    on_a_shell: Play, host: GitHost, source: Path
) -> None:
    async def scene(shell: Shelled) -> None:
        one = shell.vm.wire("main")
        wanted = (of(host, branch="feature/one"), of(host, BACKEND, branch="gone"))
        web, backend = await prepare(shell, one, *wanted)
        head = git("rev-parse", "HEAD", at=source).strip()
        assert (web.branch, web.commit, web.dirty, web.problem) == ("feature/one", head, False, "")
        assert (backend.branch, backend.commit, backend.problem) == ("main", head, "")
        assert (web.branch_is_there, backend.branch_is_there) == (True, False)
        assert web.contract is None
        assert (files(shell) / "web/a.txt").stat().st_uid == one.uid
        assert not (files(shell) / ".envforge-new/web").exists()
        # Upstream goes on, and somebody works here: nothing is touched.
        commit(source, "b.txt", "two\n")
        add(host.store, WEB, Source.of(source))
        await sh(shell, "cd web && echo mine >> a.txt && echo new > c.txt && git switch -q -c own")
        (web,) = await prepare(shell, one, wanted[0])
        assert (web.branch, web.commit, web.dirty) == ("own", head, True)
        assert (files(shell) / "web/a.txt").read_text() == "one\nmine\n"
        assert (
            await sh(shell, "cd web && git rev-parse --abbrev-ref feature/one@{upstream}")
            == "origin/feature/one\n"
        )

    on_a_shell(scene)


def test_what_was_half_made_is_made_anew(on_a_shell: Play, host: GitHost) -> None:
    async def scene(shell: Shelled) -> None:
        one = await shell.prepare()
        # As a kill in the middle leaves it.
        await sh(
            shell,
            "mkdir -p .envforge-new/web && cd .envforge-new/web && git init -q . && touch .git/index.lock",
        )
        (web,) = await prepare(shell, one, of(host))
        assert (web.branch, web.problem) == ("main", "")
        # And killed for real: the command is given up while git runs.
        doing = asyncio.create_task(prepare(shell, one, of(host, BACKEND)))
        while not (files(shell) / ".envforge-new/backend/.git").exists() and not doing.done():
            await asyncio.sleep(0.005)
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        (backend,) = await prepare(shell, one, of(host, BACKEND))
        assert (backend.branch, backend.problem) == ("main", "")

    on_a_shell(scene)


def test_problems_are_told_in_words_for_each_repository(
    on_a_shell: Play, host: GitHost, tmp_path: Path
) -> None:
    async def scene(shell: Shelled) -> None:
        one = await shell.prepare()
        with host.store.making(RepositoryName("acme", "empty"), "main"):
            pass
        empty = RepositoryName("acme", "empty")
        secret = host.store.deploy_token(WEB)
        nowhere = f"http://nowhere.invalid:{host.port}/acme/web.git"
        cases = {
            "neither a branch gone nor lost": of(host, branch="gone", fallback_branch="lost"),
            "did not accept the credential": of(host, password="wrong"),
            "is empty": of(host, empty),
            "nowhere.invalid is not known": of(host, url=nowhere),
            "does not answer": of(host, url="http://localhost:9/acme/web.git"),
            "must begin with https://": of(host, url="file:///etc"),
            "https://. Correct": of(host, url="ext::sh -c 'touch /tmp/planted'"),
            "http://, which anybody": of(host, url="http://example.invalid/acme/web.git"),
            "holds a name or password": of(host, url=host.read_url(WEB)),
            "The forge is away": of(host).model_copy(update={"unreadable": "The forge is away."}),
        }
        for number, (words, repository) in enumerate(cases.items()):
            asked = repository.model_copy(update={"directory": f"tree{number}"})
            (told,) = await prepare(shell, one, asked)
            assert words in told.problem, (words, told)
            assert secret not in told.problem
            assert not (files(shell) / f"tree{number}").exists()
        # One that fails keeps no other from being made.
        await sh(shell, "echo mine > backend")
        web, backend = await prepare(shell, one, of(host), of(host, BACKEND))
        assert web.problem == ""
        assert "no working tree" in backend.problem
        assert (files(shell) / "backend").read_text() == "mine\n"

    on_a_shell(scene)


def test_h2_the_credential_is_in_no_argument_file_url_or_configuration(
    on_a_shell: Play, host: GitHost
) -> None:
    """H2: every process's arguments are watched while git runs, every file of the VM is searched afterwards."""
    secret = host.store.deploy_token(WEB)
    encoded = base64.b64encode(f"x:{secret}".encode())
    marks = (secret.encode(), encoded)

    async def scene(shell: Shelled) -> None:
        one = await shell.prepare()
        doing = asyncio.create_task(prepare(shell, one, of(host)))
        seen: set[bytes] = set()
        while not doing.done():
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        seen.add((entry / "cmdline").read_bytes())
                    except OSError:
                        continue
            await asyncio.sleep(0)
        (web,) = await doing
        assert web.problem == ""
        assert any(b"fetch" in line and b"git" in line for line in seen)
        assert not [line for line in seen if any(mark in line for mark in marks)]
        searched = 0
        for directory, _, names in os.walk(shell.vm.config.state_dir.parent):
            for name in names:
                file = Path(directory) / name
                if file.is_file() and not file.is_symlink():
                    searched += 1
                    content = file.read_bytes()
                    assert not any(mark in content for mark in marks), file
        assert searched > 10
        told = await sh(shell, "cd web && git config --list && git remote -v")
        assert f"http://localhost:{host.port}/acme/web.git" in told
        assert "extraheader" not in told.lower()

    on_a_shell(scene)


def test_h2_hooks_and_settings_of_hostile_files_do_nothing_for_the_daemon(
    on_a_shell: Play, host: GitHost
) -> None:
    """H2: planted after the checkout, and beside the place of one that is to come."""

    async def scene(shell: Shelled) -> None:
        one = shell.vm.wire("main")
        await prepare(shell, one, of(host))
        planted = "echo '#!/bin/sh\ntouch /home/workspace/PWNED; echo $0 $(id -u) >> /home/workspace/PWNED'"
        await sh(
            shell,
            f"""set -e; cd web; mkdir -p .git/hooks
            for hook in post-checkout reference-transaction post-index-change fsmonitor; do
              {planted} > .git/hooks/$hook; chmod +x .git/hooks/$hook
            done
            git config core.fsmonitor .git/hooks/fsmonitor
            git config core.hooksPath .git/hooks
            git config core.sshCommand .git/hooks/fsmonitor
            git config core.pager .git/hooks/fsmonitor
            mkdir -p ~/.config/git ~/.githooks; cp .git/hooks/* ~/.githooks/
            git config --file ~/.gitconfig core.hooksPath ~/.githooks
            git config --file ~/.gitconfig url.file:///etc/.insteadOf {host.address("/")}
            git config --file ~/.gitconfig http.proxy http://127.0.0.1:1
            rm -f /home/workspace/PWNED""",
        )
        (web,) = await prepare(shell, one, of(host))
        assert web.problem == ""
        await shell.do(wire.ReadContract(workspace=one, directories=("web",)))
        (backend,) = await prepare(shell, one, of(host, BACKEND))
        assert backend.problem == ""
        assert not (files(shell) / "PWNED").exists()
        # It would have worked: with its own settings git does run them.
        await sh(shell, "cd web && git switch -q -c proof; test -e /home/workspace/PWNED")

    on_a_shell(scene)


def test_h2_a_contract_is_a_regular_file_of_bounded_size(on_a_shell: Play, host: GitHost) -> None:
    """H2: no link, no pipe, no directory of another place; 64 KiB at most."""

    async def scene(shell: Shelled) -> None:
        one = shell.vm.wire("main")
        await prepare(shell, one, of(host))

        async def read() -> Checkout:
            told = await shell.do(wire.ReadContract(workspace=one, directories=("web",)))
            found: Checkout = told.checkouts[0]
            return found

        await shell.vm.made[0].write_file("web/envforge.yml", CONTRACT.encode())
        told = await read()
        assert told.contract is not None
        assert told.contract.text == CONTRACT
        assert told.contract.digest == digest(parse(CONTRACT.encode()))
        assert (told.dirty, told.problem) == (True, "")
        for script in (
            "ln -s /etc/shadow web/envforge.yml",
            "ln -s /etc/passwd web/envforge.yml",
            "mkfifo web/envforge.yml",
            "mkdir web/envforge.yml",
            "head -c 65537 /dev/zero | tr '\\0' '#' > web/envforge.yml",
        ):
            await sh(shell, f"rm -rf web/envforge.yml && {script}")
            told = await read()
            assert told.contract is None, script
            assert "regular file" in told.problem, script
            assert "root" not in told.problem
        await sh(shell, "rm -rf web/envforge.yml && echo 'version: 7' > web/envforge.yml")
        told = await read()
        assert told.contract is not None
        assert told.contract.digest == ""
        assert "mistakes" in told.problem
        # The tree itself replaced by a link to elsewhere.
        await sh(shell, "mv web other && ln -s other web")
        assert "no working tree" in (await read()).problem

    on_a_shell(scene)


def test_a_changed_contract_is_told_while_somebody_is_connected(on_a_shell: Play, host: GitHost) -> None:
    async def scene(shell: Shelled) -> None:
        one = await shell.prepare()
        await prepare(shell, one, of(host))
        await shell.vm.made[0].write_file("web/envforge.yml", CONTRACT.encode())
        await shell.part.watch.look()
        assert not [body for body in shell.reports() if isinstance(body, ContractChanged)]
        terminal = Terminal(shell.ssh(one, shell.key(one), "-tt", "echo here; sleep 100"))
        try:
            await terminal.sees("here")
            await shell.part.watch.look()
            await shell.part.watch.look()
        finally:
            terminal.close()
        told = [body for body in shell.reports() if isinstance(body, ContractChanged)]
        assert [(body.directory, body.digest) for body in told] == [("web", digest(parse(CONTRACT.encode())))]

    on_a_shell(scene)
