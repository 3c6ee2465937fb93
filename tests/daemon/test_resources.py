"""Managed resources on a VM (W3): real servers in the workspace's namespace, used by a service through its environment."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from envforge_daemon.errors import CommandFailed
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.commands import RuntimeStarted
from envforge_protocol.host.resources import assign_ports
from envforge_protocol.host.runtimes import Manifest
from local_cloud.vms.programs import link_all
from tests.daemon.machine import Machine
from tests.daemon.rig import Play, Rig, arguments_of_all, until
from tests.daemon.servers import (
    PSQL,
    console,
    is_fenced,
    password_of,
    resource,
    seen,
    use,
    user_of,
    with_disk,
)


@pytest.fixture
def on_resources(behind_walls: Callable[..., None]) -> Play:
    """Runs a scene with a VM that has all servers, and a workspace with a disk for data."""

    def run(scene: Callable[[Rig, wire.Workspace], Awaitable[None]]) -> None:
        async def play(vm: Machine) -> None:
            link_all(vm.config.programs)
            rig = Rig(vm)
            try:
                await scene(rig, with_disk(vm, "main"))
            finally:
                rig.close()

        behind_walls(play)

    return run


def why(started: RuntimeStarted) -> str:
    (blocker,) = started.readiness.blockers
    assert started.readiness.ready_ms is None
    assert blocker.at == "resource"
    return blocker.reason


@pytest.mark.parametrize("type_", ["postgres", "redis", "s3", "mail"])
def test_a_resource_is_used_and_its_data_outlives_all_but_cleanup(on_resources: Play, type_: str) -> None:
    """W3, W5, W11: used through the environment; there again after kill -9, after sleep, and on another VM."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        one = resource(type_)
        started = await rig.start(workspace, user_of(one), resources=[one])
        assert started.readiness.blockers == ()
        (came_up,) = started.readiness.resources
        assert (came_up.health, came_up.ready_ms is not None) == ("healthy", True)
        assert came_up.version[0].isdigit()
        assert "kept" in await use(rig, workspace, one, "kept")
        inside = rig.vm.workspaces.get(workspace.id)
        assert inside
        for pid in (processes := inside.group(f"resource-{one.name}")).processes():
            # One that it runs for a moment may be gone by now.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        kept = rig.keepers.get(inside, f"resource-{one.name}")
        assert kept
        await until(lambda: kept.state().restarts == 1)
        await until(lambda: kept.state().health == "healthy", within_s=20)
        assert "kept" in await seen(rig, workspace, one)
        if type_ == "s3":
            await is_fenced(rig, workspace, one)
        assert processes.processes()
        assert await rig.stop(workspace) == 1
        assert inside.group(f"resource-{one.name}").is_empty()
        # Another VM with the same disk: nothing of this one's own directories is there any more.
        await rig.vm.workspaces.remove(workspace)
        rig.restart()
        again = await rig.start(workspace, user_of(one), resources=[one], epoch=2)
        assert again.readiness.blockers == ()
        assert "kept" in await seen(rig, workspace, one)
        assert one.name in {state.name for state in rig.resources.states()}
        await rig.stop(workspace, epoch=2)

    on_resources(scene)


def test_s1_the_password_is_nowhere_but_where_it_must_be(on_resources: Play) -> None:
    """S1, H3: not in arguments, logs, heartbeats, receipts; on disk where root alone reads."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        all_ = [resource("postgres"), resource("redis"), resource("mail")]
        services = [user_of(one, name=one.type, account=6 + n) for n, one in enumerate(all_)]
        started = await rig.start(workspace, *services, resources=all_)
        assert started.readiness.blockers == ()
        await use(rig, workspace, all_[0], "x")
        rig.uploaded.clear()
        asked = {"environment": {"URL": "${resources.it.url}"}, "resources": {"it": all_[0].name}}
        await rig.run(workspace, "echo $URL", **asked)
        assert rig.uploaded == b"[masked]\n"
        inside = rig.vm.workspaces.get(workspace.id)
        assert inside
        await until((inside.directory / "logs" / "mail.log").exists)
        for one in all_:
            password = password_of(rig, workspace, one.name)
            assert len(password) >= 32
            assert password not in arguments_of_all()
            assert password not in started.model_dump_json()
            assert password not in "".join(state.model_dump_json() for state in rig.resources.states())
            log = (inside.directory / "logs" / f"{one.type}.log").read_text()
            assert "the address is [masked]" in log
            found = [
                path
                for base in (rig.vm.config.state_dir, rig.vm.config.run_dir, rig.vm.config.files_root)
                for path in base.rglob("*")
                if path.is_file() and password in path.read_text(errors="replace")
            ]
            assert found == []
            assert rig.vm.config.volumes_dir
            on_disk = [
                path
                for path in rig.vm.config.volumes_dir.rglob("*")
                if path.is_file() and password.encode() in path.read_bytes()
            ]
            assert [path.parent.name for path in on_disk] == ["known"]
            # A service's account reads neither the credentials nor another account's data.
            for directory in (on_disk[0].parent, on_disk[0].parents[1] / "resources" / one.name):
                ran = await inside.run(("ls", str(directory)), account=1)
                assert ran.exit_status
        await rig.stop(workspace)

    on_resources(scene)


def test_postgres_is_stopped_cleanly_and_needs_no_recovery(on_resources: Play) -> None:
    """A client that stays connected does not keep it from ending."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        one = resource("postgres")
        assert (await rig.start(workspace, user_of(one), resources=[one])).readiness.blockers == ()
        inside = await rig.vm.workspaces.ensure(workspace)
        offered = await rig.resources.offered(inside, {"it": one.name})
        # Somebody's shell, which stays when services end.
        client = await inside.spawn(
            ("sh", "-c", f'{PSQL} "$URL" -c "select 1" -c "select pg_sleep(600)" > held.txt'),
            group="shell-x",
            env=inside.environment(0) | {"URL": offered.values["resources.it.url"]},
        )
        held = inside.directory / "held.txt"
        await until(lambda: held.exists() and held.stat().st_size > 0)
        assert client.process.lives()
        await rig.stop(workspace)
        assert (await rig.start(workspace, user_of(one), resources=[one], epoch=2)).readiness.blockers == ()
        log = (inside.directory / "logs" / f"resource-{one.name}.log").read_text()
        assert log.count("database system is ready") == 2
        assert "recovery" not in log
        await rig.stop(workspace, epoch=2)

    on_resources(scene)


def test_h3_two_workspaces_have_the_same_port_and_do_not_meet(on_resources: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        other = with_disk(rig.vm, "other")
        one = resource("postgres")
        for place in (workspace, other):
            assert (await rig.start(place, user_of(one), resources=[one])).readiness.blockers == ()
        assert await use(rig, workspace, one, "mine") == "mine"
        assert await use(rig, other, one, "theirs") == "theirs"
        assert await use(rig, workspace, one) == "mine"
        assert password_of(rig, workspace, one.name) != password_of(rig, other, one.name)
        for place in (workspace, other):
            await rig.stop(place)

    on_resources(scene)


def test_a_workspace_may_have_two_of_a_type(on_resources: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        ports = assign_ports(["api-cache", "web-cache"], set())
        both = [
            resource("redis", name, account=account, port=ports[name])
            for name, account in (("api-cache", 2), ("web-cache", 3))
        ]
        services = [user_of(one, name=one.name, account=4 + n) for n, one in enumerate(both)]
        assert (await rig.start(workspace, *services, resources=both)).readiness.blockers == ()
        for one in both:
            assert await use(rig, workspace, one, one.name) == one.name
        assert await use(rig, workspace, both[0]) == "api-cache"
        await rig.stop(workspace)

    on_resources(scene)


def test_a_restarted_program_adopts_resources(on_resources: Play) -> None:
    """W11: the server keeps its process; a new wake takes it over, and one that no longer wants it ends it."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        one = resource("redis")
        await rig.start(workspace, user_of(one), resources=[one])
        inside = await rig.vm.workspaces.ensure(workspace)
        before = inside.group(f"resource-{one.name}").processes()
        rig.restart()
        again = await rig.start(workspace, user_of(one), resources=[one], epoch=2)
        assert again.readiness.blockers == ()
        inside = await rig.vm.workspaces.ensure(workspace)
        assert inside.group(f"resource-{one.name}").processes() == before
        assert {state.epoch for state in rig.resources.states()} == {2}
        await rig.start(workspace, epoch=3)
        assert inside.group(f"resource-{one.name}").is_empty()
        await rig.stop(workspace, epoch=3)

    on_resources(scene)


def test_what_cannot_be_had_is_told_in_words(on_resources: Play) -> None:
    """W10: a version that is not there, a server that is not installed, a workspace without a disk."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        old = resource("postgres", version="9.6")
        said = why(await rig.start(workspace, user_of(old), resources=[old]))
        assert "PostgreSQL 9.6 is asked for, and this VM has" in said
        (rig.vm.config.programs / "valkey-server").unlink()
        none = resource("redis")
        said = why(await rig.start(workspace, user_of(none), resources=[none], epoch=2))
        assert "Valkey is not installed on this VM" in said
        bare = workspace.model_copy(update={"data": None})
        said = why(await rig.start(bare, user_of(old), resources=[old], epoch=3))
        assert "no place for managed data" in said
        # What nobody uses is told too.
        assert "PostgreSQL" in why(await rig.start(workspace, resources=[old], epoch=4))
        await rig.stop(workspace, epoch=4)

    on_resources(scene)


def test_data_of_another_major_version_is_left_alone(on_resources: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        one = resource("postgres")
        assert rig.vm.config.volumes_dir
        assert workspace.data
        await rig.start(workspace, user_of(one), resources=[one])
        await rig.stop(workspace)
        data = rig.vm.config.volumes_dir / workspace.data.id / "resources" / one.name / "data"
        (data / "PG_VERSION").write_text("12\n")
        said = why(await rig.start(workspace, user_of(one), resources=[one], epoch=2))
        assert "Its data was written by PostgreSQL 12" in said
        await rig.stop(workspace, epoch=2)

    on_resources(scene)


def test_a_start_that_was_cut_off_is_begun_again(on_resources: Play) -> None:
    """W11: half a cluster is none; and a cluster whose password nobody knows any more gets another one."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        one = resource("postgres")
        starting = asyncio.create_task(rig.start(workspace, user_of(one), resources=[one]))
        assert rig.vm.config.volumes_dir
        assert workspace.data
        place = rig.vm.config.volumes_dir / workspace.data.id
        await until((place / "resources" / one.name / "partial" / "PG_VERSION").exists)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        inside = await rig.vm.workspaces.ensure(workspace)
        assert inside.groups("prepare-*") == []
        assert (await rig.start(workspace, user_of(one), resources=[one])).readiness.blockers == ()
        assert await use(rig, workspace, one, "kept") == "kept"
        await rig.stop(workspace)
        before = password_of(rig, workspace, one.name)
        (place / "known" / f"{one.name}.json").unlink()
        assert (await rig.start(workspace, user_of(one), resources=[one], epoch=2)).readiness.blockers == ()
        assert password_of(rig, workspace, one.name) != before
        assert await use(rig, workspace, one) == "kept"
        await rig.stop(workspace, epoch=2)

    on_resources(scene)


def test_w12_cleanup_deletes_what_it_names_and_keeps_the_rest(on_resources: Play) -> None:
    """Servers that still run when a workspace is removed end first; data goes by its account (H2)."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        kept, gone = resource("redis"), resource("mail")
        await rig.start(workspace, user_of(kept), resources=[kept, gone])
        await use(rig, workspace, kept, "kept")
        assert rig.vm.config.volumes_dir
        assert workspace.data
        place = rig.vm.config.volumes_dir / workspace.data.id
        await rig.vm.workspaces.remove(workspace, delete_files=True, delete_resources=(gone.name,))
        assert [path.name for path in (place / "resources").iterdir()] == [kept.name]
        assert [path.name for path in (place / "known").iterdir()] == [f"{kept.name}.json"]
        assert (await rig.start(workspace, resources=[kept])).readiness.blockers == ()
        assert await use(rig, workspace, kept) == "kept"
        await rig.vm.workspaces.remove(workspace, delete_files=True, delete_resources=(kept.name,))
        assert not [path for name in ("resources", "known") for path in (place / name).iterdir()]

    on_resources(scene)


def test_w3_what_its_owner_had_deleted_is_gone_and_what_came_after_stays(on_resources: Play) -> None:
    """Deleted by its account before it starts anew and empty, once; others keep theirs. Also after the program ended in between."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        one, other = resource("redis"), resource("mail")

        async def start(epoch: int, **numbers: int) -> list[int | None]:
            numbered = one.model_copy(update=numbers)
            told = await rig.start(workspace, user_of(one), resources=[numbered, other], epoch=epoch)
            assert told.readiness.blockers == ()
            return [found.data for found in told.readiness.resources if found.name == one.name]

        assert await start(1) == [0]
        await use(rig, workspace, one, "first")
        before = password_of(rig, workspace, one.name)
        await rig.stop(workspace, epoch=1)
        assert await start(2, data=1) == [1]
        # An empty one has no such key.
        with pytest.raises(AssertionError):
            await use(rig, workspace, one)
        assert password_of(rig, workspace, one.name) != before
        await use(rig, workspace, one, "second")
        # The same command once more, and what runs already.
        assert await start(2, data=1) == [1]
        assert await use(rig, workspace, one) == "second"
        await rig.stop(workspace, epoch=2)
        # Taken back too late, in a wake that was lost: what is there now stays, and its number is told.
        assert await start(3) == [1]
        assert await use(rig, workspace, one) == "second"
        await rig.stop(workspace, epoch=3)
        # Of data that nobody knows anything of, the number that was told last counts.
        assert rig.vm.config.volumes_dir
        assert workspace.data
        known = rig.vm.config.volumes_dir / workspace.data.id / "known" / f"{one.name}.json"
        known.unlink()
        assert await start(4, data=1, data_seen=1) == [1]
        assert await use(rig, workspace, one) == "second"
        await rig.stop(workspace, epoch=4)
        known.unlink()
        assert await start(5, data=2, data_seen=1) == [2]
        with pytest.raises(AssertionError):
            await use(rig, workspace, one)
        await rig.stop(workspace, epoch=5)

    on_resources(scene)


def test_l5_the_mail_page_is_not_for_services(on_resources: Play) -> None:
    """L5: it is the shell's, whom SSH forwarding connects as."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        mail = resource("mail")
        assert (await rig.start(workspace, resources=[mail])).readiness.blockers == ()
        assert '"messages"' in await console(rig, workspace, mail)
        assert "ConnectionRefusedError" in await console(rig, workspace, mail, account=1)
        inside = await rig.vm.workspaces.ensure(workspace)
        # What SSH forwarding asks for.
        (await rig.ingress.connect(inside, mail.port + 1)).close()
        with pytest.raises(ConnectionRefusedError):
            await rig.ingress.connect(inside, mail.port + 2)
        await rig.stop(workspace)

    on_resources(scene)


def test_a_command_before_the_first_wake_is_told_why(on_resources: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        with pytest.raises(CommandFailed, match="Wake the runtime first"):
            await use(rig, workspace, resource("redis"))

    on_resources(scene)


def test_ports_are_the_same_for_the_same_names_and_nobody_elses() -> None:
    ports = assign_ports(["b", "a"], {25_003})
    assert ports == assign_ports(["a", "b"], {25_003}) == {"a": 25_010, "b": 25_020}
    with pytest.raises(ValueError, match="more resources than ports"):
        assign_ports([str(n) for n in range(400)], set())


def test_resources_stand_apart_in_a_manifest() -> None:
    """H3: an account is one server's or one service's."""
    one = resource("redis")
    with pytest.raises(ValueError, match="shares its account"):
        Manifest(epoch=1, services=(user_of(one, account=3),), resources=(one,))
    with pytest.raises(ValueError, match="not in the manifest"):
        Manifest(epoch=1, services=(user_of(one),))
    with pytest.raises(ValueError, match="one name"):
        Manifest(epoch=1, services=(), resources=(one, one.model_copy(update={"account": 4})))
