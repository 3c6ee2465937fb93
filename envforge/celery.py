"""The Celery application. Tasks are nudges: a lost one costs time, never correctness (DESIGN 1)."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from kombu.connection import Connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "envforge.settings")

app = Celery("envforge")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        # A killed worker's tasks come back after this; tasks are short, and safe to run twice.
        "visibility_timeout": 60,
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        # Whoever dies with the lock under which they come back must not keep the others out for its default of 300 s.
        "unacked_mutex_expire": 10,
        "socket_connect_timeout": 2,
        "socket_timeout": 10,
    },
    beat_schedule={
        "envforge.health.heartbeat": {
            "task": "envforge.health.heartbeat",
            "schedule": 15.0,
            "options": {"expires": 15},
        },
        "hosts.due.sweep": {"task": "hosts.due.sweep", "schedule": 5.0, "options": {"expires": 5}},
        "hosts.files.sweep": {"task": "hosts.files.sweep", "schedule": 15.0, "options": {"expires": 15}},
        "hosts.volumes.sweep": {"task": "hosts.volumes.sweep", "schedule": 5.0, "options": {"expires": 5}},
        "hosts.volumes.compare": {
            "task": "hosts.volumes.compare",
            "schedule": 900.0,
            "options": {"expires": 900},
        },
        "hosts.fleet.compare": {"task": "hosts.fleet.compare", "schedule": 30.0, "options": {"expires": 30}},
        "hosts.commands.sweep": {
            "task": "hosts.commands.sweep",
            "schedule": 15.0,
            "options": {"expires": 15},
        },
        "devlinks.sweep": {"task": "devlinks.sweep", "schedule": 5.0, "options": {"expires": 5}},
        "devlinks.tidy": {"task": "devlinks.tidy", "schedule": 300.0, "options": {"expires": 300}},
        "workspaces.due.sweep": {"task": "workspaces.due.sweep", "schedule": 5.0, "options": {"expires": 5}},
        "workspaces.output.sweep": {
            "task": "workspaces.output.sweep",
            "schedule": 600.0,
            "options": {"expires": 600},
        },
        "workspaces.idle.sweep": {
            "task": "workspaces.idle.sweep",
            "schedule": 5.0,
            "options": {"expires": 5},
        },
        "workspaces.caps.sweep": {
            "task": "workspaces.caps.sweep",
            "schedule": 15.0,
            "options": {"expires": 15},
        },
        "notices.email.sweep": {
            "task": "notices.email.sweep",
            "schedule": 30.0,
            "options": {"expires": 30},
        },
        "envforge.sessions.clear_expired": {"task": "envforge.sessions.clear_expired", "schedule": 3600.0},
        "secrets_ref.sweep": {"task": "secrets_ref.sweep", "schedule": 60.0, "options": {"expires": 60}},
        "orgs.overdue.close": {"task": "orgs.overdue.close", "schedule": 60.0},
        "orgs.sessions.end_overdue": {"task": "orgs.sessions.end_overdue", "schedule": 300.0},
    },
)
app.autodiscover_tasks()

# Not among the application's own options: a worker that gave up as quickly would end when its broker restarts.
_BRIEFLY = {"max_retries": 0, "socket_connect_timeout": 1, "socket_timeout": 1}


def brief_connection() -> Connection:
    """A connection to the broker for whoever must not wait for it: tried once, answered within a second or given up."""
    connection: Connection = app.connection_for_write(transport_options=_BRIEFLY)
    return connection


@setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Django's settings have configured logging; connecting here keeps Celery from doing it again."""
