"""The control plane under test: its own database with the real roles, committed data, a fresh world for each test.

Nothing is rolled back or cleaned up between tests: each test works in organizations of its own, as customers do.
"""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from pytest_django.plugin import DjangoDbBlocker

from envforge.celery import app as celery_app
from local_cloud.postgres import RolePasswords, drop_database, prepare_database
from tests.product.world import World
from tests.vms import vms

__all__ = ["vms"]  # a fixture

ADMIN_DSN = os.environ["ENVFORGE_TEST_ADMIN_DATABASE_URL"]


@pytest.fixture(scope="session", autouse=True)
def database(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A migrated database of this test process' own; all of Django's aliases point to it."""
    name = f"envforge_test_{getattr(request.config, 'workerinput', {}).get('workerid', 'main')}"
    passwords = {
        alias: settings.DATABASES[alias]["PASSWORD"] for alias in ("default", "owner", "sealer", "support")
    }
    drop_database(ADMIN_DSN, name)
    prepare_database(
        ADMIN_DSN,
        name,
        RolePasswords(app=passwords.pop("default"), **passwords),
    )
    for alias in settings.DATABASES:
        settings.DATABASES[alias]["NAME"] = name
        connections[alias].settings_dict["NAME"] = name
    with django_db_blocker.unblock():
        call_command("migrate", database="owner", verbosity=0)
        connections["owner"].close()
        yield name
        for alias in settings.DATABASES:
            connections[alias].close()
            getattr(connections[alias], "close_pool", lambda: None)()
    drop_database(ADMIN_DSN, name)


@pytest.fixture(scope="session", autouse=True)
def queue(request: pytest.FixtureRequest) -> str:
    """A queue of this test process' own in the broker that all of them share."""
    name = f"test-{getattr(request.config, 'workerinput', {}).get('workerid', 'main')}"
    celery_app.conf.task_default_queue = name
    redis.Redis.from_url(settings.CELERY_BROKER_URL).delete(name)
    return name


@pytest.fixture
def admin(database: str) -> Iterator[psycopg.Connection]:
    """The superuser, whom nothing in PostgreSQL stops; rolled back at the end of the test."""
    address = urlsplit(ADMIN_DSN)._replace(path=f"/{database}").geturl()
    with psycopg.connect(address) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def world() -> World:
    return World()
