"""Telling a worker that there is something to do, after the commit that made it so."""

import structlog
from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError
from kombu.pools import producers

from envforge.celery import brief_connection

log = structlog.get_logger(__name__)


def nudge(task: "Task[..., None]", *ids: object) -> None:
    """Enqueue `task(*ids)` once the transaction has committed.

    The nudge may be lost (broker away, process killed); a sweep finds what it would have done. A broker that does not
    answer therefore never fails the write, nor holds it up for more than a second or two.
    """
    arguments = [str(one) for one in ids]

    def send() -> None:
        try:
            with producers[brief_connection()].acquire(block=True) as producer:
                task.apply_async(args=arguments, producer=producer, retry=False)
        except (OperationalError, OSError) as error:
            log.warning("nudge.lost", task=task.name, arguments=arguments, reason=type(error).__name__)

    transaction.on_commit(send, robust=True)
