"""The project that ./dev up makes of the examples: complete, approved, made once, and then people's own."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from audit.models import Event
from envforge import tenancy
from local_cloud.git.publishing import EXAMPLES, publish_examples
from local_cloud.git.store import Store
from local_cloud.seed_project import SLUG, seed_project
from projects import operations, selectors
from secrets_ref.models import Secret
from tests.git_host.conftest import GitHost
from tests.product.store import stored
from tests.product.world import World
from workspaces.models import Workspace


@pytest.fixture
def store() -> Store:
    """The running git host's own, where the examples are."""
    return Store(Path(os.environ["ENVFORGE_TEST_GIT_STATE"]))


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[GitHost]:
    """The git host on another port."""
    host = GitHost(tmp_path)
    publish_examples(host.store)
    host.start()
    yield host
    host.stop()


def address(port: int = 0) -> str:
    """The git host's, as the settings of the local cloud allow it, or on another port."""
    (host,) = settings.PLAIN_GIT_HOSTS
    return f"http://{host}" if not port else f"http://localhost:{port}"


def seeded(world: World, store: Store, url: str = "") -> selectors.OneProject:
    alice = world.alice.as_actor()
    seed_project(store, url or address(), org_id=world.acme.id, owner=alice)
    return selectors.project(actor=alice, slug=world.acme.slug, project=SLUG)


def events(world: World) -> int:
    with tenancy.enter(world.acme.id):
        return Event.objects.count()


def test_both_examples_can_wake_and_a_second_start_changes_nothing(world: World, store: Store) -> None:
    seen = seeded(world, store)
    assert {one.name: one.url for one in seen.repositories} == {
        name.name: f"{address()}/{name}.git" for name in EXAMPLES
    }
    for one in seen.repositories:
        assert one.approved is not None
        assert one.approved.decided_by == world.alice.name
        assert (one.missing, one.waiting) == ([], [])
    with tenancy.enter(world.acme.id):
        paths = dict(Secret.objects.values_list("name", "path"))
    assert set(paths) == {"CALENDAR_SIGNING_KEY"}
    assert len(stored(paths["CALENDAR_SIGNING_KEY"])) >= 32
    # H2: no token that lives on; Acme's own app mints one whenever a VM fetches.
    assert [(one.app, one.access) for one in seen.repositories] == [(seen.repositories[0].app, "")] * 2
    assert seen.repositories[0].app
    name = seen.repositories[0].app
    assert operations.check_forge_app(actor=world.alice.as_actor(), org_id=world.acme.id, name=name) == []
    with tenancy.enter(world.acme.id):
        assert [one.branch for one in Workspace.objects.all()] == ["main"]
    before = events(world)
    assert seeded(world, store) == seen
    assert events(world) == before


def test_what_people_decided_stays(world: World, store: Store) -> None:
    seen = seeded(world, store)
    web = next(one for one in seen.repositories if one.name == "scheduler-web")
    alice = world.alice.as_actor()
    operations.unbind_input(actor=alice, org_id=world.acme.id, repository_id=web.id, name="BACKEND_URL")
    backend = next(one for one in seen.repositories if one.name == "scheduler-backend")
    operations.remove_repository(actor=alice, org_id=world.acme.id, repository_id=backend.id)
    (left,) = seeded(world, store).repositories
    assert left.missing
    operations.archive_project(actor=alice, org_id=world.acme.id, project_id=seen.project.id)
    assert seeded(world, store).repositories == [left]


def test_a_start_that_ended_halfway_is_continued(
    world: World, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(operations, "approve_contract", _killed)
        with pytest.raises(KeyboardInterrupt):
            seeded(world, store)
    assert all(one.approved and not one.missing for one in seeded(world, store).repositories)


def _killed(**_: object) -> None:
    raise KeyboardInterrupt


def test_addresses_follow_the_git_host_to_another_port(
    world: World, store: Store, moved: GitHost, settings: Any
) -> None:
    seeded(world, store)
    settings.PLAIN_GIT_HOSTS = frozenset({f"localhost:{moved.port}"})
    seen = seeded(world, moved.store, address(moved.port))
    assert {one.url for one in seen.repositories} == {
        f"{address(moved.port)}/{name}.git" for name in EXAMPLES
    }
    assert {one.app for one in seen.repositories} == {f"git-{moved.port}"}
