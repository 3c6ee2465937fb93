"""What a process finds in its environment: what it needs, made once, and nobody else's credentials."""

import stat

import pytest

from local_cloud.cloud import Cloud, plan
from local_cloud.environment import SCOPES, keep_keys
from local_cloud.errors import LocalCloudError
from local_cloud.home import Home

CALLER = {
    "PATH": "/usr/bin",
    "AWS_PROFILE": "mine",
    "AWS_SESSION_TOKEN": "mine",
    "PGPASSWORD": "mine",
    "NO_PROXY": "intranet.test",
    "HTTPS_PROXY": "http://proxy.test:3128",
}
OWN_DATABASE = {
    "DATABASE_URL": "postgresql://envforge_app:a@db.test/envforge",
    "ENVFORGE_OWNER_DATABASE_URL": "postgresql://envforge_owner:b@db.test/envforge",
    "ENVFORGE_SEALER_DATABASE_URL": "postgresql://envforge_sealer:c@db.test/envforge",
    "ENVFORGE_SUPPORT_DATABASE_URL": "postgresql://envforge_support:d@db.test/envforge",
}


@pytest.fixture
def cloud(home: Home) -> Cloud:
    keep_keys(
        home,
        control_plane_access_key_id="AKIACONTROL",
        control_plane_secret_access_key="control",
        sealer_access_key_id="AKIASEALER",
        sealer_secret_access_key="sealer",
    )
    return plan(home, CALLER)


@pytest.mark.parametrize("part", sorted(set(SCOPES) - {"migrate", "manage"}))
def test_n1_no_serving_process_gets_the_owners_way_in(cloud: Cloud, part: str) -> None:
    environment = cloud.environment(part)
    assert "ENVFORGE_OWNER_DATABASE_URL" not in environment
    assert cloud.keys["postgres_owner_password"] not in " ".join(environment.values())


@pytest.mark.parametrize("part", sorted(set(SCOPES) - {"sealer", "manage"}))
def test_e1_only_the_sealer_can_seal_and_sign(cloud: Cloud, part: str) -> None:
    found = " ".join(cloud.environment(part).values())
    assert cloud.keys["postgres_sealer_password"] not in found
    assert "AKIASEALER" not in found


def test_e1_the_sealer_has_its_own_identity_and_not_the_control_planes(cloud: Cloud) -> None:
    environment = cloud.environment("sealer")
    assert environment["AWS_ACCESS_KEY_ID"] == "AKIASEALER"
    assert "AKIACONTROL" not in " ".join(environment.values())


@pytest.mark.parametrize("part", sorted(SCOPES))
def test_no_process_gets_the_superuser_or_the_callers_own_credentials(cloud: Cloud, part: str) -> None:
    environment = cloud.environment(part)
    assert cloud.keys["postgres_admin_password"] not in " ".join(environment.values())
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "PGPASSWORD"} & set(environment)


def test_loopback_never_goes_through_a_proxy(cloud: Cloud) -> None:
    environment = cloud.environment("web")
    assert environment["HTTPS_PROXY"] == "http://proxy.test:3128"
    assert environment["NO_PROXY"] == environment["no_proxy"] == "intranet.test,localhost,127.0.0.1,::1"


def test_keys_are_made_once_and_are_their_owners_alone(home: Home) -> None:
    first, second = plan(home, {}), plan(home, {})
    assert first.keys == second.keys
    assert len(set(first.keys.values())) == len(first.keys)
    assert stat.S_IMODE((home.root / "env.json").stat().st_mode) == 0o600


def test_two_homes_share_no_key(home: Home, module_home: Home) -> None:
    assert not set(plan(home, {}).keys.values()) & set(plan(module_home, {}).keys.values())


def test_a_database_of_the_callers_own_replaces_ours(home: Home) -> None:
    cloud = plan(home, OWN_DATABASE)
    assert "postgres" in cloud.given
    assert "postgres" not in cloud.ports
    assert cloud.environment("web")["DATABASE_URL"] == OWN_DATABASE["DATABASE_URL"]
    assert (
        cloud.environment("migrate")["ENVFORGE_OWNER_DATABASE_URL"]
        == OWN_DATABASE["ENVFORGE_OWNER_DATABASE_URL"]
    )


def test_half_a_database_is_refused_by_name(home: Home) -> None:
    caller = {name: OWN_DATABASE[name] for name in ("DATABASE_URL", "ENVFORGE_OWNER_DATABASE_URL")}
    with pytest.raises(
        LocalCloudError,
        match=r"must be set too: ENVFORGE_SEALER_DATABASE_URL, ENVFORGE_SUPPORT_DATABASE_URL\.",
    ):
        plan(home, caller)


def test_tests_never_touch_what_the_caller_names(home: Home) -> None:
    cloud = plan(home, OWN_DATABASE, apart=True)
    assert "db.test" not in " ".join(cloud.environment("manage").values())
