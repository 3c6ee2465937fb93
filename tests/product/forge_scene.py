"""A project of Acme's whose repository an app reads at the local git host; for tests of forge apps."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from audit.models import Event
from envforge import tenancy
from envforge_protocol.host.commands import PrepareShell
from envforge_protocol.host.runtimes import Limits
from envforge_protocol.host.workspaces import Repository as WireRepository
from hosts import hooks
from hosts.hooks import CommandRef, Finished
from local_cloud.git.names import RepositoryName
from local_cloud.git.store import Store
from local_cloud.seed_app import _key, seed_app
from projects import operations
from projects.models import ForgeApp
from tests.product.host_api.machines import workspace as on_vm
from tests.product.world import World
from workspaces import forge_credentials
from workspaces.operations.workspaces import open_workspace

GIT = os.environ["ENVFORGE_TEST_GIT_URL"]
BACKEND = RepositoryName("acme", "scheduler-backend")


@dataclass
class Scene:
    """A project of Acme's with one repository that its app reads."""

    world: World
    app: str
    project_id: UUID
    workspace_id: UUID

    @property
    def org_id(self) -> UUID:
        return self.world.acme.id

    @property
    def row(self) -> ForgeApp:
        with tenancy.enter(self.org_id):
            return ForgeApp.objects.get(name=self.app, removed_at=None)

    def command(self, ago: timedelta = timedelta(0)) -> CommandRef:
        return CommandRef(
            id=uuid4(),
            org_id=self.org_id,
            host_id=uuid4(),
            generation=1,
            workspace_id=self.workspace_id,
            kind="prepare_shell",
            key="shell",
            cause="workspace",
            created_at=timezone.now() - ago,
        )

    def fill(self, command: CommandRef, url: str = f"{GIT}/{BACKEND}.git") -> WireRepository:
        asked = PrepareShell(
            workspace=on_vm(),
            repositories=(
                WireRepository(directory="backend", url=url, branch="main", fallback_branch="main"),
            ),
            certificate_authority="",
            shell_limits=Limits(memory_mib=512, cpu_millis=1000),
        )
        filled = hooks.fill(command, asked)
        assert isinstance(filled, PrepareShell)
        return filled.repositories[0]

    def ended(self, command: CommandRef) -> None:
        with tenancy.enter(self.org_id):
            hooks.finished(Finished(command=command, payload=None, outcome=None, failure=None, attempts=1))

    def crooked(self, address: str) -> None:
        """The forge's API is elsewhere from now on."""
        with tenancy.enter(self.org_id):
            ForgeApp.objects.filter(name=self.app).update(api_url=address)


def given(world: World, **others: str) -> dict[str, Any]:
    """What registers an app at the git host, under another name than the seeded one."""
    row = {
        "name": "code",
        "api_url": GIT,
        "git_url": f"{GIT}/acme",
        "client_id": f"envforge-{world.acme.id.hex}",
        "installation": "acme",
        "key_arn": _key(world.acme.id),
    }
    return {"actor": world.alice.as_actor(), "org_id": world.acme.id, **row, **others}


@pytest.fixture
def scene(world: World) -> Scene:
    alice = world.alice.as_actor()
    store = Store(Path(os.environ["ENVFORGE_TEST_GIT_STATE"]))
    app = seed_app(store, GIT, "acme", org_id=world.acme.id, actor=alice)
    project = operations.create_project(actor=alice, org_id=world.acme.id, slug="s", name="S")
    operations.add_repository(
        actor=alice,
        org_id=world.acme.id,
        project_id=project.id,
        name="backend",
        url=f"{GIT}/{BACKEND}.git",
        app=app,
    )
    opened = open_workspace(actor=alice, org_id=world.acme.id, project_id=project.id, branch="main")
    return Scene(world, app, project.id, opened.id)


def told(scene: Scene, kind: str) -> list[Event]:
    with tenancy.enter(scene.org_id):
        return list(Event.objects.filter(kind=kind).order_by("id"))


@pytest.fixture(autouse=True)
def nothing_held() -> Iterator[None]:
    yield
    forge_credentials._held._kept.clear()
