"""What is looked at before a wake starts anything: whether its working trees hold what the manifest was made by (W2, THREATS H2)."""

import asyncio

from envforge_daemon.isolation import Workspace
from envforge_protocol.contract import parse
from envforge_protocol.contract.digest import digest
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.runtimes import Health, Tree
from tests.daemon.rig import Play, Rig, until, web
from tests.daemon.test_services import on_services  # noqa: F401 - a fixture

CONTRACT = "version: 1\nservice: {name: web}\ncommand: run web\nports: {web: 3000}\n"
OTHER = CONTRACT.replace("run web", "run other")


def told(text: str | None = CONTRACT) -> tuple[Tree, ...]:
    return (Tree(directory="tree", contract_digest=digest(parse(text.encode())) if text else ""),)


async def tree(rig: Rig, workspace: wire.Workspace, text: str = CONTRACT) -> Workspace:
    """A working tree with this contract committed in it."""
    made = await rig.vm.workspaces.ensure(workspace)
    await made.write_file("tree/envforge.yml", text.encode())
    await sh(
        made,
        "cd tree && git init -q && git add -A && git -c user.name=a -c user.email=a@b.c commit -qm one",
    )
    return made


async def sh(workspace: Workspace, script: str) -> None:
    ran = await workspace.run(("sh", "-ec", script))
    assert ran.exit_status == 0, ran.output


def up(rig: Rig, workspace: Workspace) -> list[str]:
    return [one.name for one in rig.keepers.of(workspace)]


def test_w2_a_tree_that_holds_what_was_told_starts(on_services: Play) -> None:  # noqa: F811
    """W2: written otherwise it means the same, and is the same contract."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        made = await tree(rig, workspace)
        await made.write_file("tree/envforge.yml", f"# as before\n{CONTRACT}".encode())
        started = await rig.start(workspace, web(), trees=told())
        assert (started.changed, started.readiness.services[0].health) == ((), Health.HEALTHY)

    on_services(scene)


def test_w2_another_contract_in_the_tree_starts_nothing(on_services: Play) -> None:  # noqa: F811
    """W2: neither service nor setup step; the outcome says how the tree lies, and asked anew by that it starts."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        made = await tree(rig, workspace)
        await sh(made, "cd tree && git checkout -qb other")
        await made.write_file("tree/envforge.yml", OTHER.encode())
        step = {"name": "mark", "command": ("touch", "marked")}
        asked = web(setup=(step,))
        started = await rig.start(workspace, asked, trees=told())
        [found] = started.changed
        assert found.contract is not None
        assert (found.directory, found.branch, found.dirty, found.contract.text) == (
            "tree",
            "other",
            True,
            OTHER,
        )
        assert (started.readiness.services, started.readiness.ready_ms, up(rig, made)) == ((), None, [])
        assert not list(made.directory.rglob("marked"))
        assert (await rig.start(workspace, asked, trees=told(OTHER))).changed == ()
        assert list(made.directory.rglob("marked"))

    on_services(scene)


def test_w2_h2_a_contract_that_is_gone_or_planted(on_services: Play) -> None:  # noqa: F811
    """W2, H2: a link, a pipe, no file, no tree: none is followed or waited for, and each differs from what was told."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        made = await tree(rig, workspace)
        for script in (
            "ln -s /etc/shadow tree/envforge.yml",
            "mkfifo tree/envforge.yml",
            "head -c 65537 /dev/zero | tr '\\0' '#' > tree/envforge.yml",
            "true",
        ):
            await sh(made, f"rm -rf tree/envforge.yml; {script}")
            started = await rig.start(workspace, web(), trees=told())
            assert [one.contract for one in started.changed] == [None], script
            # Told so, that is what is expected: the last approved contract counts.
            assert (await rig.start(workspace, web(), trees=told(None))).changed == (), script
            await rig.stop(workspace)
        await sh(made, "mv tree elsewhere")
        [found] = (await rig.start(workspace, web(), trees=told(None))).changed
        assert (found.commit, "no working tree" in found.problem) == ("", True)

    on_services(scene)


def test_w2_a_tree_that_changes_after_an_interrupted_start(on_services: Play) -> None:  # noqa: F811
    """A program that ended midway is asked the same again: what it had started by the earlier contract does not stay."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        made = await tree(rig, workspace)
        await rig.start(workspace, web(), trees=told())
        assert up(rig, made) == ["service-web"]
        rig.restart()
        made = await rig.vm.workspaces.ensure(workspace)
        await made.write_file("tree/envforge.yml", OTHER.encode())
        assert (await rig.start(workspace, web(), trees=told())).changed
        assert up(rig, made) == []

    on_services(scene)


def test_a_keeper_made_ahead_is_used_once_and_ends_with_the_program(on_services: Play) -> None:  # noqa: F811
    """What waits for its work is another process each time, and hears its end when nobody can tell it anything any more."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        await tree(rig, workspace)
        keeping = asyncio.create_task(rig.keepers.keep_ahead())
        ahead = rig.keepers._ahead
        await until(lambda: ahead._ready is not None)
        first = ahead._ready
        assert first is not None
        started = await rig.start(workspace, web(), trees=told())
        assert started.readiness.blockers == ()
        assert started.readiness.services[0].health == Health.HEALTHY
        await until(lambda: ahead._ready not in (None, first))
        last = ahead._ready
        assert last is not None
        assert first.pid != last.pid
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert last.returncode == 0

    on_services(scene)
