import signal
import threading
import time
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as DatabaseError
from django.db import connections
from redis.exceptions import RedisError

from audit import sealer
from envforge import health
from envforge.errors import Unavailable

PAUSE_S = 0.5
PAUSE_AFTER_ERROR_S = 2.0
UPKEEP_EVERY_S = 3600.0
HEARTBEAT_EVERY_S = 10.0

log = structlog.get_logger("audit.sealer")


class Command(BaseCommand):
    help = "Seal committed audit events into their chains and sign checkpoints, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="seal and sign what is there now, then leave")

    def handle(self, *args: Any, **options: Any) -> None:
        if sealer.DATABASE not in settings.DATABASES:
            raise CommandError(
                "The sealer needs ENVFORGE_SEALER_DATABASE_URL, its own way into the database."
            )
        if options["once"]:
            while sealer.seal_pass():
                pass
            sealer.sign_pass()
            sealer.vault_pass()
            return
        stop = threading.Event()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, lambda *_: stop.set())
        Loop(stop).run()


class Loop:
    """The sealer's life: seal without pause while there is a backlog, sign and vault in between, never die of an outage."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self.next_upkeep = 0.0
        self.next_heartbeat = 0.0

    def run(self) -> None:
        log.info("sealer.started")
        while not self.stop.is_set():
            pause_s = PAUSE_S
            try:
                if self.turn():
                    pause_s = 0.0
            except DatabaseError as error:
                connections[sealer.DATABASE].close()
                log.warning(
                    "sealer.database_away", reason=type(error).__name__, detail=str(error).splitlines()[0]
                )
                pause_s = PAUSE_AFTER_ERROR_S
            except Unavailable as error:
                log.warning("sealer.unsigned", reason=error.detail)
                pause_s = PAUSE_AFTER_ERROR_S
            self.stop.wait(pause_s)
        log.info("sealer.stopped")

    def turn(self) -> bool:
        """One turn; true where a backlog is left."""
        now = time.monotonic()
        if now >= self.next_upkeep:
            made = sealer.make_partitions()
            self.next_upkeep = now + UPKEEP_EVERY_S
            log.info("sealer.partitions", made=made)
        sealed = sealer.seal_pass()
        if now >= self.next_heartbeat:
            # Before the signatures: a KMS outage is named by the chain's status, not by a missing sealer.
            self.next_heartbeat = now + HEARTBEAT_EVERY_S
            try:
                health.beat("sealer")
            except RedisError as error:
                log.warning("sealer.heartbeat_lost", reason=type(error).__name__)
        signed = sealer.sign_pass()
        sealer.vault_pass()
        if sealed or signed:
            log.info("sealer.sealed", events=sealed, checkpoints=signed)
        return sealed >= sealer.EVENTS_A_PASS
