"""Services on a VM: started with their inputs, watched, kept over restarts, stopped; commands beside them."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from envforge_daemon.services.values import Unresolved, environment, resolve
from envforge_protocol.host import workspaces as wire
from envforge_protocol.host.commands import RuntimeStarted
from envforge_protocol.host.runtimes import (
    Blocker,
    Check,
    Health,
    Reference,
    Service,
    Step,
)
from tests.daemon.machine import Machine
from tests.daemon.rig import (
    CANARY,
    Play,
    Rig,
    arguments_of_all,
    ask,
    credential,
    get,
    ingress_of,
    until,
    web,
)


@pytest.fixture
def on_services(behind_walls: Callable[..., None]) -> Play:
    """Runs a scene with a VM's services and a workspace."""

    def run(scene: Callable[[Rig, wire.Workspace], Awaitable[None]]) -> None:
        async def play(vm: Machine) -> None:
            rig = Rig(vm)
            try:
                await scene(rig, vm.wire("main"))
            finally:
                rig.close()

        behind_walls(play)

    return run


def test_a_service_comes_up_with_its_secret_and_masks_it(on_services: Play) -> None:
    """S3, W10: the value reaches the service's environment, and is masked in its log."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        started = await rig.start(workspace, web())
        assert started.readiness.blockers == ()
        assert started.readiness.ready_ms is not None
        assert started.readiness.services[0].consumed[0].input == "token"
        assert CANARY in await get(ingress_of(started))
        kept = rig.vm.workspaces.get(workspace.id)
        assert kept
        log = (kept.directory / "logs" / "web.log").read_text()
        assert "token is [masked]" in log
        assert not [
            path
            for base in (rig.vm.config.state_dir, rig.vm.config.run_dir, rig.vm.config.files_root)
            for path in base.rglob("*")
            if path.is_file() and CANARY in path.read_text(errors="replace")
        ]
        assert CANARY not in arguments_of_all()
        assert await rig.stop(workspace) == 1
        with pytest.raises(ConnectionRefusedError):
            await get(ingress_of(started))

    on_services(scene)


def test_the_same_wake_again_finds_what_is_up(on_services: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        service = web()
        await rig.start(workspace, service)
        before = rig.keepers.get(await rig.vm.workspaces.ensure(workspace), "service-web")
        await rig.start(workspace, service)
        after = rig.keepers.get(await rig.vm.workspaces.ensure(workspace), "service-web")
        assert before is after
        await rig.start(workspace, service, epoch=2)
        assert rig.keepers.get(await rig.vm.workspaces.ensure(workspace), "service-web") is not before
        await rig.stop(workspace, epoch=2)

    on_services(scene)


def test_a_restarted_program_adopts_what_runs(on_services: Play) -> None:
    """W11: the service keeps its process, and is stopped by the program that did not start it."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        service = web()
        started = await rig.start(workspace, service)
        inside = await rig.vm.workspaces.ensure(workspace)
        before = inside.group("service-web").processes()
        rig.restart()
        again = await rig.start(workspace, service)
        inside = await rig.vm.workspaces.ensure(workspace)
        assert again.readiness.blockers == ()
        assert inside.group("service-web").processes() == before
        assert CANARY in await get(ingress_of(started))
        assert await rig.stop(workspace) == 1
        assert inside.group("service-web").is_empty()

    on_services(scene)


def test_a_killed_keeper_takes_its_service_along(on_services: Play) -> None:
    """Nobody would watch or mask it any more; the next wake starts it anew."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        service = web()
        await rig.start(workspace, service)
        inside = await rig.vm.workspaces.ensure(workspace)
        kept = rig.keepers.get(inside, "service-web")
        assert kept
        os.kill(inside.group("keeper-service-web").processes()[0], signal.SIGKILL)
        await until(lambda: kept.state().ended)
        assert kept.state().gave_up
        await until(inside.group("service-web").is_empty)
        assert (await rig.start(workspace, service)).readiness.blockers == ()
        await rig.stop(workspace)

    on_services(scene)


def test_a_service_that_crashes_is_started_again(on_services: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        service = web()
        started = await rig.start(workspace, service)
        kept = rig.keepers.get(await rig.vm.workspaces.ensure(workspace), "service-web")
        assert kept
        await get(ingress_of(started), "/crash")
        await until(lambda: kept.state().restarts == 1)
        await until(lambda: kept.state().health == "healthy")
        assert kept.state().exit_status == 3
        assert CANARY in await get(ingress_of(started))
        await rig.stop(workspace)

    on_services(scene)


def groups_of(pid: int) -> list[str]:
    """Its supplementary groups."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("Groups:")).split()[1:]


def test_h2_a_keeper_brings_no_group_of_roots_along(on_services: Play) -> None:
    """H2: it writes a service's log as the workspace's account, which has no more groups than its own."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        if os.geteuid():
            pytest.skip("only root has groups of root's")
        own = os.getgroups()
        os.setgroups([0])
        try:
            await rig.start(workspace, web())
        finally:
            os.setgroups(own)
        kept = rig.keepers.get(await rig.vm.workspaces.ensure(workspace), "service-web")
        assert kept
        keeper, _ = json.loads((kept.directory / "state.json").read_text())["keeper"]
        assert groups_of(keeper) == []
        await rig.stop(workspace)

    on_services(scene)


def blocked(started: RuntimeStarted) -> Blocker:
    (blocker,) = started.readiness.blockers
    assert started.readiness.ready_ms is None
    return blocker


def test_a_service_that_crashes_in_a_loop_is_told(on_services: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        started = await rig.start(workspace, web(command=("sh", "-c", "exit 7")))
        blocker = blocked(started)
        assert (blocker.at, blocker.exit_status) == ("start", 7)
        assert "logs/web.log" in blocker.reason
        await rig.stop(workspace)

    on_services(scene)


def test_what_cannot_be_executed_is_told(on_services: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        assert blocked(await rig.start(workspace, web(command=("/no/such/program",)))).exit_status == 127
        await rig.stop(workspace)

    on_services(scene)


def test_a_job_runs_once_and_holds_nobody_up(on_services: Play) -> None:
    """W1: ready while it runs, and asked for again in the same wake it is not begun again; one that fails at once is told."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        def job(command: str) -> Service:
            return web("job", once=True, ports=(), health=None, command=("sh", "-c", command))

        (ready,) = (await rig.start(workspace, job("echo x >> ran; sleep 2"))).readiness.services
        assert (ready.health, ready.ready_ms is not None) == (Health.HEALTHY, True)
        await asyncio.sleep(2.5)
        (done,) = (await rig.start(workspace, job("echo x >> ran; sleep 2"))).readiness.services
        assert done.health == Health.STOPPED
        count = job('test "$(wc -l < ran)" = 1')
        assert (await rig.start(workspace, count, epoch=2)).readiness.blockers == ()
        assert blocked(await rig.start(workspace, job("exit 3"), epoch=3)).exit_status == 3
        await rig.stop(workspace, epoch=3)

    on_services(scene)


def test_health_and_smoke_say_what_they_saw(on_services: Play) -> None:
    """H1: a redirect is not followed; its status counts as it is."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        moved = Check(kind="http", port=3000, path="/moved", expect_status=(200, 200), start_period_s=2)
        blocker = blocked(await rig.start(workspace, web(health=moved)))
        assert (blocker.at, "302" in blocker.reason) == ("health", True)
        smoke = Check(kind="command", command=("sh", "-c", 'test "$TOKEN" = other'), timeout_s=1.0)
        blocker = blocked(await rig.start(workspace, web(smoke=smoke), epoch=2))
        assert (blocker.at, "exit status 1" in blocker.reason) == ("smoke", True)
        # What it leads to may come up a little later: it is asked again until its time is over.
        later = "test -e later || { touch later; exit 1; }"
        smoke = Check(
            kind="command", command=("sh", "-c", f'{later}; test "$TOKEN" = {CANARY}'), timeout_s=10.0
        )
        assert (await rig.start(workspace, web(smoke=smoke), epoch=3)).readiness.blockers == ()
        await rig.stop(workspace, epoch=3)

    on_services(scene)


def test_a_port_that_is_taken_is_told(on_services: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        inside = await rig.vm.workspaces.ensure(workspace)
        await inside.spawn(
            ("/usr/bin/python3", "-m", "http.server", "3000", "--bind", "127.0.0.1"),
            group="shell-x",
            env=inside.environment(0),
        )
        await asyncio.sleep(1)
        blocker = blocked(await rig.start(workspace, web()))
        assert blocker.at == "port"
        assert "Port 3000 is in use" in blocker.reason
        await inside.kill_all("shell-x")
        await rig.stop(workspace)

    on_services(scene)


def test_setup_is_done_once_and_again_when_its_files_change(on_services: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        inside = await rig.vm.workspaces.ensure(workspace)
        await inside.write_file("lock.txt", b"1")
        step = Step(name="install", command=("sh", "-c", "echo x >> done.txt"), cache_files=("lock.txt",))
        for epoch, content, times in ((1, b"1", 1), (2, b"1", 1), (3, b"2", 2)):
            await inside.write_file("lock.txt", content)
            readiness = (await rig.start(workspace, web(setup=(step,)), epoch=epoch)).readiness
            assert readiness.blockers == ()
            # What was skipped has no receipt (W9).
            told = [(one.name, one.exit_status) for one in readiness.services[0].setup]
            assert told == ([] if epoch == 2 else [("install", 0)])
            assert (await inside.read_file("done.txt", limit=100) or b"").count(b"x") == times
        await rig.stop(workspace, epoch=3)

    on_services(scene)


@pytest.mark.parametrize(
    ("command", "timeout_s", "says"),
    [("exit 5", 20, "exit status 5"), ("sleep 60", 1, "did not end within 1 s")],
)
def test_setup_that_fails_or_hangs_is_told(
    on_services: Play, command: str, timeout_s: int, says: str
) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        step = Step(name="install", command=("sh", "-c", command), timeout_s=timeout_s)
        blocker = blocked(await rig.start(workspace, web(setup=(step,))))
        assert (blocker.at, says in blocker.reason) == ("setup", True)
        await rig.stop(workspace)

    on_services(scene)


def test_setup_that_prints_a_gigabyte_keeps_a_bounded_log(on_services: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        # A hundredth of it is enough to turn the log over more often than it is kept.
        step = Step(
            name="loud", command=("sh", "-c", "head -c 60000000 /dev/zero | tr '\\0' x"), timeout_s=40
        )
        assert (await rig.start(workspace, web(setup=(step,)))).readiness.blockers == ()
        inside = await rig.vm.workspaces.ensure(workspace)
        logs = sum(path.stat().st_size for path in (inside.directory / "logs").glob("web.setup.log*"))
        assert 0 < logs <= 4 * (8 << 20) + 65536
        await rig.stop(workspace)

    on_services(scene)


def test_a_missing_parameter_is_told_by_its_input(on_services: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        gone = Reference(input="token", arn="arn:gone", version=4)
        blocker = blocked(await rig.start(workspace, web(references=(gone,))))
        assert blocker.at == "secrets"
        assert "token" in blocker.reason
        await rig.stop(workspace)

    on_services(scene)


def test_a_command_leaves_a_receipt_and_masked_output(on_services: Play) -> None:
    """W9."""

    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        more = {
            "environment": {"TOKEN": "${token}"},
            "references": (Reference(input="token", arn="arn:x", version=1),),
            "credentials": (credential("arn:x"),),
        }
        ran = await rig.run(workspace, "echo before $TOKEN after; exit 4", **more)
        assert (ran.exit_status, ran.truncated, ran.timed_out) == (4, False, False)
        assert rig.uploaded == b"before [masked] after\n"
        assert ran.output_bytes == len(rig.uploaded)

    on_services(scene)


def test_a_loud_command_is_cut_and_a_slow_one_is_ended(on_services: Play) -> None:
    async def scene(rig: Rig, workspace: wire.Workspace) -> None:
        ran = await rig.run(workspace, "head -c 3000000 /dev/zero | tr '\\0' y", output_limit_bytes=100_000)
        assert (ran.exit_status, ran.truncated, ran.output_bytes) == (0, True, 3_000_000)
        assert len(rig.uploaded) == 100_000
        rig.uploaded.clear()
        ran = await rig.run(workspace, "sleep 50 & sleep 60", timeout_s=1)
        assert ran.timed_out
        assert ran.exit_status == 128 + signal.SIGTERM
        inside = await rig.vm.workspaces.ensure(workspace)
        assert inside.groups("run-*") == []

    on_services(scene)


def test_values_are_put_where_their_names_stand() -> None:
    values = {"token": "v$x", "other": "${token}"}
    assert environment({"A": "a${token}b", "B": "$${token}", "C": "${other}"}, values) == {
        "A": "av$xb",
        "B": "${token}",
        "C": "${token}",
    }
    with pytest.raises(Unresolved, match="missing"):
        environment({"A": "${missing}"}, values)


def test_a_reference_that_no_credential_opens_has_no_value() -> None:
    wanted = (Reference(input="a", arn="arn:x", version=1), Reference(input="b", arn="arn:y", version=1))
    with pytest.raises(Unresolved, match=r"for b:") as refused:
        asyncio.run(resolve(wanted, (credential("arn:x"),), ask))
    assert CANARY not in str(refused.value)
