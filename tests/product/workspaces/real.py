"""A workspace over real VMs: the simulator, the daemon, the Git host, the stores; steps are taken by the test in place of workers."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2

from envforge import tenancy
from hosts import files, volumes
from hosts.models import DataVolume, Host, WorkspaceFiles
from local_cloud.git.adding import Source, add
from local_cloud.git.names import RepositoryName
from local_cloud.git.store import Store
from projects import operations as projects
from projects.choices import Source as From
from projects.models import Proposal
from tests.git_host.conftest import git
from tests.product.real_vms import Chain
from tests.product.store import set_secret
from tests.product.world import World
from tests.vms import Vms, eventually
from workspaces import news, routes
from workspaces.models import Checkout, HostNews, Runtime, Shell, Wake, WakeCause, Workspace
from workspaces.operations.runtimes import sleep_runtime, wake_runtime
from workspaces.operations.workspaces import open_workspace
from workspaces.reconcile import commands, removal, runtimes, shells

EXAMPLES = Path(__file__).parents[3] / "examples"
BRANCH = "feature/rooms"
NAMES = ("scheduler-web", "scheduler-backend")


class Real(Chain):
    """Acme, its project with both examples, and a workspace of their branch."""

    def __init__(
        self, world: World, vms: Vms, scratch: Path, contents: dict[str, Path] | None = None
    ) -> None:
        super().__init__(world, vms)
        self.alice = world.alice.as_actor()
        self.scratch = scratch
        self.store = Store(Path(os.environ["ENVFORGE_TEST_GIT_STATE"]))
        self.project = projects.create_project(
            actor=self.alice, org_id=self.org_id, slug="scheduler", name="Scheduler"
        )
        contents = contents or {name: EXAMPLES / name for name in NAMES}
        self.repositories = {name: self.add_repository(name, content) for name, content in contents.items()}
        self.opened = self.open(BRANCH)

    def add_repository(self, name: str, content: Path) -> UUID:
        """A repository at the Git host that only its token reads; the project knows the token as a secret."""
        source = self.scratch / name
        shutil.copytree(content, source, ignore=shutil.ignore_patterns("data", "__pycache__"))
        git("init", "-q", "-b", "main", at=source)
        git("add", ".", at=source)
        git("commit", "-q", "-m", "First", at=source)
        git("branch", BRANCH, at=source)
        at_host = RepositoryName("acme", f"{name}-{self.org_id.hex[-8:]}")
        add(self.store, at_host, Source.of(source))
        access = set_secret(self.world, f"READ_{name.replace('-', '_')}", self.store.deploy_token(at_host))
        made = projects.add_repository(
            actor=self.alice,
            org_id=self.org_id,
            project_id=self.project.id,
            name=name,
            url=f"{os.environ['ENVFORGE_TEST_GIT_URL']}/{at_host}.git",
            access_id=access.id,
        )
        return made.id

    def open(self, branch: str) -> Workspace:
        return open_workspace(actor=self.alice, org_id=self.org_id, project_id=self.project.id, branch=branch)

    def approve(self) -> None:
        """Everything that was proposed is approved, and bound."""
        with tenancy.enter(self.org_id):
            waiting = list(Proposal.objects.filter(decision="proposed").values_list("id", flat=True))
        for one in waiting:
            projects.approve_contract(actor=self.alice, org_id=self.org_id, proposal_id=one)

    def bind(self) -> None:
        key = set_secret(self.world, "CALENDAR_SIGNING_KEY", "k" * 32)
        for name, where, more in (
            ("scheduler-backend", "CALENDAR_SIGNING_KEY", {"source": From.SECRET, "secret_id": key.id}),
            (
                "scheduler-web",
                "BACKEND_URL",
                {"source": From.ROUTE, "route_to_id": self.repositories["scheduler-backend"]},
            ),
        ):
            projects.bind_input(
                actor=self.alice,
                org_id=self.org_id,
                repository_id=self.repositories[name],
                name=where,
                **more,  # type: ignore[arg-type]
            )

    # What there is.

    def shell(self) -> Shell:
        with tenancy.enter(self.org_id):
            return Shell.objects.get(workspace=self.opened)

    def runtime(self) -> Runtime:
        with tenancy.enter(self.org_id):
            return Runtime.objects.select_related("host").get(workspace=self.opened)

    def row(self) -> Workspace:
        with tenancy.enter(self.org_id):
            return Workspace.objects.get(id=self.opened.id)

    def wakes(self) -> list[Wake]:
        with tenancy.enter(self.org_id):
            return list(Wake.objects.filter(runtime__workspace=self.opened).order_by("epoch"))

    def checkouts(self) -> dict[str, Checkout]:
        with tenancy.enter(self.org_id):
            rows = Checkout.objects.filter(workspace=self.opened).select_related("repository")
            return {row.repository.name: row for row in rows}

    def vm(self) -> Host:
        host = self.runtime().host
        assert host is not None
        return host

    def tree(self, name: str) -> Path:
        """Where a working tree lies on the shared file system."""
        return self.vms.directory / "files" / str(self.opened.id) / name

    # What passes.

    def drive(self) -> None:
        if not self.drives:
            return
        super().drive()
        with tenancy.enter(self.org_id):
            told = list(HostNews.objects.order_by("at", "id").values_list("id", flat=True))
            places = list(WorkspaceFiles.objects.values_list("id", flat=True))
            disks = list(DataVolume.objects.values_list("id", flat=True))
            rows = list(Workspace.objects.values_list("id", "shell__id", "runtime__id"))
        for one in told:
            news.follow(self.org_id, one)
        for one in places:
            files.settle(self.org_id, one)
        for one in disks:
            volumes.settle(self.org_id, one)
        for workspace, shell, runtime in rows:
            shells.reconcile(self.org_id, shell)
            runtimes.reconcile(self.org_id, runtime)
            commands.reconcile_all(self.org_id, workspace)
            removal.reconcile(self.org_id, workspace)

    def shell_ready(self) -> None:
        self.until(lambda: self.shell().observed == "ready", self.told())

    def wake(self) -> None:
        wake_runtime(actor=self.alice, org_id=self.org_id, workspace_id=self.opened.id, cause=WakeCause.CLI)

    def observed(self, state: str, within_s: float = 90.0) -> None:
        """Drive until the runtime is so; a wake that fails meanwhile ends this at once."""

        def look() -> Any:
            self.drive()
            now = self.runtime()
            assert state == "failed" or now.observed != "failed", f"{now.trouble}\n{self.complaint()}"
            return now.observed == state

        eventually(look, self.told(), within_s)

    def wakes_up(self) -> None:
        self.wake()
        self.observed("awake")

    def asleep(self) -> None:
        sleep_runtime(actor=self.alice, org_id=self.org_id, workspace_id=self.opened.id)
        self.observed("asleep")

    def get(self, service: str, path: str) -> httpx2.Response:
        """What the service answers at its ingress, as a gateway asks it."""
        with tenancy.enter(self.org_id):
            [route] = [one for one in routes.routes_of(self.opened.id) if one.service == service]
        return httpx2.get(f"http://{route.address}:{route.ingress}{path}", timeout=10, trust_env=False)

    def told(self) -> str:
        runtime, shell = self.runtime(), self.shell()
        return (
            f"runtime {runtime.wanted}/{runtime.observed} {runtime.trouble}; "
            f"shell {shell.observed} {shell.trouble}\n{self.complaint()}"
        )

    def edit(self, name: str, file: str, before: str, after: str) -> None:
        """Change a file as the shell's user does: it is not committed."""
        path = self.tree(name) / file
        stat = path.stat()
        path.write_text(path.read_text().replace(before, after))
        os.chown(path, stat.st_uid, stat.st_gid)
