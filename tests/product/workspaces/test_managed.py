"""Resources in mode "managed local", from the project's choice to the VM's manifest and to the end of their data (W3, W12)."""

import pytest

from envforge import tenancy
from envforge_protocol.host.runtimes import Manifest
from hosts.volumes import volume_of
from projects import operations as projects
from projects.choices import Cleanup, Mode
from tests.product.workspaces.desk import Desk
from workspaces import managed
from workspaces.contracts import chosen
from workspaces.models import Account, Workspace

STORED = """version: 1
service: {name: web}
command: run web
ports: {web: 25000}
resources: {database: {type: postgres, version: 15}, main_cache: redis}
env: {URL: "${resources.database.url}", CACHE: "${resources.main_cache.host}", PORT: "${ports.web}"}
"""
OTHER = """version: 1
service: {name: backend}
command: run it
ports: {api: 4000}
resources: {database: postgres}
env: {URL: "${resources.database.url}"}
"""


def provide(desk: Desk, repository: str, resource: str, cleanup: Cleanup = Cleanup.DELETE) -> None:
    projects.set_resource_mode(
        actor=desk.alice,
        org_id=desk.org_id,
        repository_id=desk.repositories[repository],
        resource=resource,
        mode=Mode.MANAGED_LOCAL,
        owner="Alice",
        ready_within_s=90,
        cleanup=cleanup,
    )


@pytest.fixture
def stored(desk: Desk) -> Desk:
    """Two services, of which each has a database of its own, and one a cache."""
    for name, text, resources in (
        ("web", STORED, ("database", "main_cache")),
        ("backend", OTHER, ("database",)),
    ):
        desk.texts[name] = text
        desk.approve(name, text)
        for resource in resources:
            provide(desk, name, resource)
    return desk


def manifest(desk: Desk) -> Manifest:
    desk.shell_up()
    desk.starting()
    return desk.manifest().manifest


def test_w3_a_wake_names_what_the_vm_is_to_run(stored: Desk) -> None:
    """W3, H3: accounts and ports of their own, the environment by reference, no password; and a volume for the data."""
    told = manifest(stored)
    resources = told.resources
    services = {one.name: one for one in told.services}
    asked = {(one.type, one.version, one.ready_within_s) for one in resources}
    assert asked == {("postgres", "15", 90.0), ("postgres", None, 90.0), ("redis", None, 90.0)}
    names = {one.name for one in resources}
    assert len(names) == 3
    accounts = [one.account for one in resources] + [one.account for one in told.services]
    assert len(set(accounts)) == 5
    # 25000 to 25009 would hold the port of a service.
    assert sorted(one.port for one in resources) == [25010, 25020, 25030]
    web = services["web"]
    assert web.environment["URL"] == "${resources.database.url}"
    assert set(web.resources) == {"database", "main_cache"}
    assert set(web.resources.values()) | set(services["backend"].resources.values()) == names
    assert web.resources["database"] != services["backend"].resources["database"]
    assert volume_of(org_id=stored.org_id, workspace_id=stored.workspace.id) is not None


def test_a_resource_keeps_its_name_and_account(stored: Desk) -> None:
    """Its data lies under them: another wake, or another resource beside it, changes neither."""
    with tenancy.enter(stored.org_id):
        workspace = Workspace.objects.get(id=stored.workspace.id)
        both = chosen(workspace).contracts
        one = stored.repositories["web"]
        first = managed.resources_of(workspace, both, {one: {"main_cache"}}, never)
        then = managed.resources_of(workspace, both, {one: {"database", "main_cache"}}, never)
    assert then.names[one]["main_cache"] == first.names[one]["main_cache"]


def never(*_: str) -> None:
    raise AssertionError("nothing blocks this")


def test_without_managed_resources_there_is_no_volume(desk: Desk) -> None:
    assert manifest(desk).resources == ()
    assert volume_of(org_id=desk.org_id, workspace_id=desk.workspace.id) is None


def test_a_workspace_without_room_says_so(stored: Desk) -> None:
    said: list[tuple[str, ...]] = []
    with tenancy.enter(stored.org_id):
        workspace = Workspace.objects.get(id=stored.workspace.id)
        for number in range(1, 16):
            Account.objects.create(workspace=workspace, name=f"taken-{number}", number=number)
        managed.resources_of(
            workspace,
            chosen(workspace).contracts,
            {stored.repositories["web"]: {"database"}},
            lambda *words: said.append(words),
        )
    assert [one[:2] for one in said] == [("web", "host")]


@pytest.mark.parametrize(("cleanup", "gone"), [(Cleanup.DELETE, 1), (Cleanup.KEEP, 0)])
def test_w12_data_goes_or_stays_as_was_decided(stored: Desk, cleanup: Cleanup, gone: int) -> None:
    """W12: one resource that is to be kept keeps the volume."""
    provide(stored, "web", "database", cleanup)
    manifest(stored)
    assert managed.remove(stored.org_id, stored.workspace.id) == gone
    there = volume_of(org_id=stored.org_id, workspace_id=stored.workspace.id)
    assert (there is None) == bool(gone)
    # Again is harmless.
    assert managed.remove(stored.org_id, stored.workspace.id) == 0
