"""The local PostgreSQL: its roles are what row level security needs, and a killed server loses nothing."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from local_cloud.cloud import Cloud, plan, stores
from local_cloud.errors import LocalCloudError
from local_cloud.home import Home
from local_cloud.postgres import Postgres, drop_database, prepare_database
from local_cloud.supervisor import PartFailedError, Supervisor


@pytest.fixture(scope="module")
def cloud(module_home: Home) -> Iterator[Cloud]:
    with stores(module_home, os.environ) as running:
        yield running


def rows(cloud: Cloud, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(cloud.postgres.admin_dsn, dbname="envforge") as connection:
        return connection.execute(statement.encode()).fetchall()


def test_n1_no_role_can_pass_row_level_security(cloud: Cloud) -> None:
    found = rows(
        cloud,
        "SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication"
        " FROM pg_roles WHERE rolname LIKE 'envforge%' ORDER BY rolname",
    )
    assert found == [
        ("envforge_app", True, False),
        ("envforge_lookup", False, False),
        ("envforge_owner", True, False),
        ("envforge_sealer", True, False),
        ("envforge_support", True, False),
    ]


def test_n1_only_the_owner_may_become_the_lookup_role_and_does_not_hold_its_rights(cloud: Cloud) -> None:
    found = rows(
        cloud,
        "SELECT roleid::regrole::text, member::regrole::text, set_option, inherit_option, admin_option"
        " FROM pg_auth_members WHERE roleid::regrole::text LIKE 'envforge%' OR member::regrole::text LIKE 'envforge%'",
    )
    assert found == [("envforge_lookup", "envforge_owner", True, False, False)]


def test_schemas_and_database_are_open_to_nobody_else(cloud: Cloud) -> None:
    assert rows(cloud, "SELECT datdba::regrole::text FROM pg_database WHERE datname = 'envforge'") == [
        ("envforge_owner",)
    ]
    granted = rows(
        cloud,
        "SELECT 'database', grantee::regrole::text, privilege_type FROM pg_database, aclexplode(datacl)"
        " WHERE datname = 'envforge' AND grantee::regrole::text <> 'envforge_owner'"
        " UNION SELECT nspname, grantee::regrole::text, privilege_type FROM pg_namespace, aclexplode(nspacl)"
        " WHERE nspname IN ('public', 'lookup') AND grantee::regrole::text NOT IN ('envforge_owner', 'pg_database_owner')"
        " ORDER BY 1, 2, 3",
    )
    assert granted == [
        ("database", "envforge_app", "CONNECT"),
        ("database", "envforge_sealer", "CONNECT"),
        ("database", "envforge_support", "CONNECT"),
        ("lookup", "envforge_app", "USAGE"),
        ("lookup", "envforge_lookup", "CREATE"),
        ("lookup", "envforge_lookup", "USAGE"),
        ("public", "envforge_app", "USAGE"),
        ("public", "envforge_lookup", "USAGE"),
        ("public", "envforge_sealer", "USAGE"),
        ("public", "envforge_support", "USAGE"),
    ]


@pytest.mark.parametrize("role", ["app", "sealer", "support"])
def test_the_application_cannot_make_tables_and_the_owner_can(cloud: Cloud, role: str) -> None:
    for statement in (
        "CREATE TABLE public.mine ()",
        "CREATE TABLE lookup.mine ()",
        "CREATE TEMP TABLE mine ()",
    ):
        with (
            psycopg.connect(cloud.database_url(role)) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement.encode())
    with psycopg.connect(cloud.database_url("owner")) as connection:
        connection.execute("CREATE TABLE public.theirs ()")
        connection.rollback()


def test_n1_the_owner_can_give_a_function_to_the_lookup_role(cloud: Cloud) -> None:
    with psycopg.connect(cloud.database_url("owner")) as owner:
        owner.execute(
            "CREATE FUNCTION lookup.who() RETURNS text SECURITY DEFINER LANGUAGE sql AS 'SELECT current_user'"
        )
        owner.execute("ALTER FUNCTION lookup.who() OWNER TO envforge_lookup")
    with psycopg.connect(cloud.database_url("app")) as app:
        assert app.execute("SELECT lookup.who()").fetchone() == ("envforge_lookup",)


def test_a_wrong_password_and_a_socket_do_not_open_the_door(cloud: Cloud) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(cloud.database_url("app").replace(cloud.keys["postgres_app_password"], "guess"))
    assert not list(Path("/tmp").glob(f".s.PGSQL.{cloud.ports['postgres']}"))  # noqa: S108


def test_many_processes_may_prepare_databases_at_once(cloud: Cloud) -> None:
    names = [f"test_{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda name: prepare_database(cloud.postgres.admin_dsn, name, cloud.role_passwords), names * 2
            )
        )
    for name in names:
        with psycopg.connect(cloud.database_url("app", name)) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == (name,)
        drop_database(cloud.postgres.admin_dsn, name)
    assert not rows(cloud, "SELECT FROM pg_database WHERE datname LIKE 'test%'")


def test_an_administrator_who_is_no_superuser_can_prepare(home: Home) -> None:
    """A managed PostgreSQL gives no superuser, only CREATEROLE and CREATEDB."""
    cloud = plan(home, {}, durable=False)
    with Supervisor(home) as supervisor:
        supervisor.start([cloud.postgres.part()])
        with psycopg.connect(cloud.postgres.admin_dsn) as admin:
            admin.execute("CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD 'm'")
        master = f"postgresql://master:m@127.0.0.1:{cloud.ports['postgres']}/postgres"
        for _ in range(2):
            prepare_database(master, "envforge", cloud.role_passwords)
        with psycopg.connect(cloud.database_url("owner")) as owner:
            owner.execute("CREATE TABLE public.theirs ()")


def test_a_role_with_too_many_rights_is_refused(cloud: Cloud) -> None:
    with psycopg.connect(cloud.postgres.admin_dsn, autocommit=True) as admin:
        admin.execute("ALTER ROLE envforge_app BYPASSRLS")
        try:
            with pytest.raises(psycopg.errors.RaiseException, match="envforge_app has rights"):
                prepare_database(cloud.postgres.admin_dsn, "envforge", cloud.role_passwords)
        finally:
            admin.execute("ALTER ROLE envforge_app NOBYPASSRLS")


def test_rows_survive_a_killed_server(home: Home) -> None:
    cloud = plan(home, {})
    with Supervisor(home, on_crash=lambda _crash: None) as supervisor:
        supervisor.start([cloud.postgres.part()])
        prepare_database(cloud.postgres.admin_dsn, "envforge", cloud.role_passwords)
        with psycopg.connect(cloud.database_url("owner")) as owner:
            owner.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        os.kill(supervisor.pid("postgres"), signal.SIGKILL)
        deadline = time.monotonic() + 20
        while True:
            try:
                with psycopg.connect(cloud.database_url("owner")) as owner:
                    assert owner.execute("SELECT count(*) FROM kept").fetchone() == (1000,)
                break
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_a_pid_file_whose_number_now_belongs_to_somebody_else_is_no_obstacle(home: Home) -> None:
    cloud = plan(home, {}, durable=False)
    cloud.postgres.prepare()
    pid_file = home.root / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{home.root / 'postgres'}\n")
    with Supervisor(home) as supervisor:
        supervisor.start([cloud.postgres.part()])
        assert cloud.postgres.is_ready()
        with pytest.raises(LocalCloudError, match="already serves"):
            cloud.postgres.prepare()


def test_data_of_another_version_is_refused_with_what_to_do(home: Home) -> None:
    cloud = plan(home, {}, durable=False)
    cloud.postgres.prepare()
    (home.root / "postgres" / "PG_VERSION").write_text("17\n")
    with Supervisor(home) as supervisor, pytest.raises(PartFailedError, match=r"PostgreSQL 17.*\./dev reset"):
        supervisor.start([cloud.postgres.part()])


def test_without_durability_it_does_not_wait_for_the_disk(home: Home) -> None:
    fast = Postgres(home.root / "x", port=1, password="", durable=False).command()
    safe = Postgres(home.root / "x", port=1, password="").command()
    assert "fsync=off" in fast
    assert "fsync=off" not in safe
