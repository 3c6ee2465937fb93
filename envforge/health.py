"""Is the process alive, and can it serve? (`/health/live`, `/health/ready`)

Ready means: the database answers and carries this code's migrations, and the cache answers. The broker, the worker and
the sealer are named when they are behind, but do not take the web process out of service: writes are correct without.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from celery import shared_task
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError

from envforge.celery import brief_connection

HEARTBEAT_KEY = "health:{part}"
BEHIND_AFTER_S = 60


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at; `look` answers what is wrong in words, or nothing.

    It is not looked at where what it is read from (`through`) does not answer: that would only be waited for again.
    """

    part: str
    look: Callable[[], str | None]
    required: bool
    through: str = ""


def beat(part: str) -> None:
    """Note that a part works now."""
    cache.set(HEARTBEAT_KEY.format(part=part), time.time(), timeout=24 * 3600)


def _database() -> str | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return None


def _migrations() -> str | None:
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(pending)} migrations are not applied; run migrate" if pending else None


def _cache() -> str | None:
    cache.get("health:probe")
    return None


def _broker() -> str | None:
    try:
        with brief_connection() as broker:
            broker.ensure_connection(max_retries=0)
    except OperationalError:
        return "it does not answer"
    return None


def _heartbeat_of(part: str) -> Callable[[], str | None]:
    def look() -> str | None:
        last = cache.get(HEARTBEAT_KEY.format(part=part))
        if last is None:
            return "it has not been seen in the last day"
        age_s = int(time.time() - last)
        return f"it was last seen {age_s} s ago" if age_s > BEHIND_AFTER_S else None

    return look


CHECKS = (
    Check("database", _database, required=True),
    Check("migrations", _migrations, required=True, through="database"),
    Check("cache", _cache, required=True),
    Check("broker", _broker, required=False),
    Check("worker", _heartbeat_of("worker"), required=False),
    Check("sealer", _heartbeat_of("sealer"), required=False),
)


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked."""
    return JsonResponse({"live": True})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """200 where this process can serve, 503 where not; either way what is not ready, and why."""
    not_ready: list[dict[str, str]] = []
    behind: list[dict[str, str]] = []
    silent: set[str] = set()
    for check in CHECKS:
        if check.through in silent:
            continue
        try:
            wrong = check.look()
        except Exception as error:  # noqa: BLE001 - whatever a part raises, it is not ready
            wrong = f"it does not answer ({type(error).__name__})"
            silent.add(check.part)
        if wrong:
            (not_ready if check.required else behind).append({"part": check.part, "why": wrong})
    body = {"ready": not not_ready, "not_ready": not_ready, "behind": behind}
    return JsonResponse(body, status=503 if not_ready else 200)


@shared_task(name="envforge.health.heartbeat")
def heartbeat() -> None:
    """Sent by beat, run by a worker: that both work is what it shows."""
    beat("worker")


@shared_task(name="envforge.sessions.clear_expired")
def clear_expired_sessions() -> None:
    call_command("clearsessions")
