"""H2: a repository is read with a credential that the organization's own app mints for it alone, and that lives for minutes."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from envforge import tenancy
from envforge.errors import Conflict, Invalid, NotAllowed, NotVisible
from projects import forge, operations, selectors
from projects.forge import AppRefused, Trouble
from projects.forge_apps import app_of
from projects.models import ForgeApp, Repository
from secrets_ref import signing, sts
from secrets_ref.troubles import StoreRefused
from tests.git_host.conftest import git
from tests.product.forge_scene import BACKEND, GIT, Scene, given, nothing_held, scene, told
from tests.product.secret_places import maintainer
from tests.product.store import root
from tests.product.world import World
from workspaces import forge_credentials

__all__ = ["nothing_held", "scene"]  # fixtures


def wrong(world: World, **others: str) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        operations.register_forge_app(**given(world, **others))
    return refused.value.fields


def test_h2_an_app_that_works_is_registered_once(scene: Scene) -> None:
    first = operations.register_forge_app(**given(scene.world), key="once")
    again = operations.register_forge_app(**given(scene.world), key="once")
    assert first.id == again.id
    with pytest.raises(Conflict):
        operations.register_forge_app(**given(scene.world))
    assert [one.target_label for one in told(scene, "forge_app.registered")] == [
        scene.app,
        "code",
    ]
    seen = selectors.forge_apps(actor=scene.world.alice.as_actor(), slug=scene.world.acme.slug)
    assert [(one.name, one.reads) for one in seen.apps] == [("code", []), (scene.app, ["S: backend"])]
    operations.remove_forge_app(actor=scene.world.alice.as_actor(), org_id=scene.org_id, name="code")
    with pytest.raises(Conflict, match="backend of S is read with it"):
        operations.remove_forge_app(actor=scene.world.alice.as_actor(), org_id=scene.org_id, name=scene.app)
    assert [one.target_label for one in told(scene, "forge_app.removed")] == ["code"]


def test_what_cannot_be_an_app_is_said_beside_its_field(world: World) -> None:
    sent = {
        "name": "No Name",
        "api_url": "https://user@forge.test",
        "git_url": "git@forge.test:acme/web",
        "client_id": "a b",
        "installation": "../x",
        "key_arn": "alias/mine",
    }
    assert set(wrong(world, **sent)) == set(sent)


def test_a_check_says_what_is_wrong(scene: Scene) -> None:
    world, kms = scene.world, root("kms")
    assert wrong(world, installation="nobody") == {"installation": forge.WORDS[Trouble.INSTALLATION]}
    assert wrong(world, client_id="Iv1.other") == {"client_id": forge.WORDS[Trouble.APP]}
    made = {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}
    tags = [{"TagKey": "envforge-signs-for", "TagValue": world.acme.id.hex}]
    another = kms.create_key(**made, Tags=tags)["KeyMetadata"]["Arn"]
    assert wrong(world, key_arn=another) == {"client_id": forge.WORDS[Trouble.APP]}
    kms.disable_key(KeyId=another.rpartition("/")[2])
    assert wrong(world, key_arn=another) == {"key_arn": forge.WORDS[Trouble.KEY_DISABLED]}
    untagged = kms.create_key(**made)["KeyMetadata"]["Arn"]
    assert wrong(world, key_arn=untagged) == {"key_arn": forge.WORDS[Trouble.KEY_DENIED]}
    elliptic = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Tags=tags)
    assert wrong(world, key_arn=elliptic["KeyMetadata"]["Arn"]) == {"key_arn": forge.WORDS[Trouble.KEY_KIND]}
    nothing = f"{untagged.rpartition('/')[0]}/{uuid4()}"
    assert wrong(world, key_arn=nothing) == {"key_arn": forge.WORDS[Trouble.KEY_MISSING]}
    with tenancy.enter(scene.org_id):
        Repository.objects.filter(name="backend").update(url=f"{GIT}/acme/nothing.git")
    assert operations.check_forge_app(actor=world.alice.as_actor(), org_id=scene.org_id, name=scene.app) == [
        f"{GIT}/acme/nothing.git: {forge.WORDS[Trouble.REPOSITORY]}"
    ]


def test_k1_a_key_signs_for_its_own_organization_alone(scene: Scene) -> None:
    """K1: neither another organization's form nor its sessions use a key, and one that anybody could use is refused."""
    world, arn = scene.world, scene.row.key_arn
    with pytest.raises(Invalid) as refused:
        operations.register_forge_app(
            **given(world) | {"actor": world.mallory.as_actor(), "org_id": world.mallet.id}
        )
    assert refused.value.fields == {"key_arn": forge.WORDS[Trouble.KEY_DENIED]}
    with pytest.raises(StoreRefused):
        signing.sign(world.mallet.id, arn, b"x")
    assert signing.sign(world.acme.id, arn, b"x")
    # As if "nobody" were let in: the check must notice.
    with pytest.raises(AppRefused) as open_to_all:
        forge.check(app_of(scene.row), nobody=world.acme.id)
    assert open_to_all.value.trouble is Trouble.KEY_OPEN
    # A VM's session reads parameters: its policy names no key.
    assert "kms:Sign" not in sts.session_policy((arn,))


def test_e2_an_api_on_an_address_that_is_not_public_is_not_called(scene: Scene, settings: Any) -> None:
    settings.EGRESS_ALLOWED_NETWORKS = ()
    for api_url in ("https://127.0.0.1", "https://169.254.169.254", "https://[::1]"):
        assert "not public" in wrong(scene.world, api_url=api_url)["api_url"]


def test_who_says_what_an_app_reads(scene: Scene) -> None:
    """Who manages one project's repositories could read all of the installation's by it: that takes an administrator."""
    world, org_id = scene.world, scene.org_id
    mia = maintainer(world, scene.project_id).as_actor()
    new: dict[str, Any] = {"org_id": org_id, "project_id": scene.project_id, "name": "web"}
    url = f"{GIT}/acme/scheduler-web.git"
    with pytest.raises(NotAllowed):
        operations.add_repository(actor=mia, **new, url=url, app=scene.app)
    for actor in (world.bob.as_actor(), world.vera.as_actor()):
        with pytest.raises(NotAllowed):
            operations.check_forge_app(actor=actor, org_id=org_id, name=scene.app)
    with pytest.raises(NotVisible):
        operations.check_forge_app(actor=world.mallory.as_actor(), org_id=org_id, name=scene.app)
    alice = world.alice.as_actor()
    for elsewhere in (f"{GIT}/other/web.git", "https://git.test/acme/web.git", f"{GIT}/acme/x/web.git"):
        with pytest.raises(Invalid, match="directly below"):
            operations.add_repository(actor=alice, **new, url=elsewhere, app=scene.app)
    with pytest.raises(Invalid, match="no such forge app"):
        operations.add_repository(actor=alice, **new, url=url, app="none")
    with pytest.raises(Invalid, match="not both"):
        operations.add_repository(actor=alice, **new, url=url, app=scene.app, access_id=uuid4())
    with tenancy.enter(org_id):
        backend = Repository.objects.get(name="backend")
    kept: dict[str, Any] = {
        "actor": mia,
        "org_id": org_id,
        "repository_id": backend.id,
        "access_id": None,
    }
    operations.change_repository(**kept, url=backend.url, default_branch="next", app=scene.app)
    with pytest.raises(NotAllowed):
        operations.change_repository(**kept, url=url, default_branch="next", app=scene.app)
    operations.change_repository(**kept, url=url, default_branch="next")


def test_h2_k2_a_lease_carries_a_credential_that_reads_one_repository_until_the_fetch_reports(
    scene: Scene, tmp_path: Path
) -> None:
    command = scene.command()
    filled = scene.fill(command)
    assert filled.credential is not None
    assert filled.unreadable == ""
    token = filled.credential.password.get_secret_value()
    minutes = (filled.credential.expires_at - datetime.now(UTC)).total_seconds() / 60
    assert 0 < minutes <= 60
    with_token = GIT.replace("://", f"://x-access-token:{token}@")
    git("ls-remote", f"{with_token}/{BACKEND}.git", at=tmp_path)
    git("ls-remote", f"{with_token}/acme/scheduler-web.git", at=tmp_path, ok=False)
    git("push", f"{with_token}/{BACKEND}.git", at=tmp_path, ok=False)
    assert token not in repr(forge_credentials._held._kept)
    scene.ended(command)
    assert len(forge_credentials._held) == 0
    forge_credentials._held._revoking.submit(lambda: None).result(10)
    deadline = time.monotonic() + 10
    while "Authentication failed" not in _asked(f"{with_token}/{BACKEND}.git", tmp_path):
        assert time.monotonic() < deadline
    with tenancy.enter(scene.org_id):
        for model in (ForgeApp, Repository):
            assert token not in str(list(model.objects.values()))


def _asked(url: str, at: Path) -> str:
    try:
        return git("ls-remote", url, at=at, ok=False)
    except AssertionError:
        return ""


def test_h2_what_reported_elsewhere_is_revoked_after_minutes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.fill(scene.command())
    forge_credentials._held.end_overdue()
    assert len(forge_credentials._held) == 1
    later = time.monotonic() + forge_credentials.HELD.total_seconds() + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    forge_credentials._held.end_overdue()
    assert len(forge_credentials._held) == 0


def test_a_repository_that_no_longer_lies_there_is_not_minted_for(scene: Scene) -> None:
    filled = scene.fill(scene.command(), url="https://evil.test/acme/scheduler-backend.git")
    assert filled.credential is None
    assert filled.unreadable == forge_credentials.NOT_BELOW
