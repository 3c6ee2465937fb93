"""A program that writes until it is told to stop, and keeps a journal that outlives any crash.

Run as `python -m tests.drill.writer JOURNAL ORGANIZATION LOGIN NAME [BYSTANDER]`, in a web process' environment. Each
turn renames the organization and nudges a task, as an operation behind a web request would. A journal line is on
disk before the write it announces begins, and after the write it reports has ended. With a bystander, a member
whom the policy refuses, every twentieth turn is a refusal.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import django

PAUSE_S = 0.08
REFUSED_EVERY = 20


class Journal:
    """JSON lines, each on disk before `note` returns."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, **facts: Any) -> None:
        os.write(self._fd, (json.dumps({"what": what, **facts}) + "\n").encode())
        os.fsync(self._fd)


def main(journal_path: str, slug: str, login: str, name: str, bystander: str | None = None) -> None:
    """Write until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    django.setup()
    from django.db import close_old_connections

    from envforge import tenancy
    from envforge.errors import NotAllowed, announce_denial
    from envforge.health import heartbeat
    from envforge.nudge import nudge
    from orgs import operations
    from orgs.lookups import organization_by_slug
    from orgs.models import Person

    journal = Journal(Path(journal_path))
    org_id = organization_by_slug(slug)
    actor = Person.objects.get(subject=f"auth0|{login}").as_actor()
    refused = Person.objects.get(subject=f"auth0|{bystander}").as_actor() if bystander else None
    close_old_connections()

    def rename(new_name: str) -> None:
        with tenancy.enter(UUID(str(org_id))):
            operations.rename_organization(actor=actor, org_id=UUID(str(org_id)), name=new_name)
            nudge(heartbeat)

    def be_refused(new_name: str) -> None:
        try:
            operations.rename_organization(actor=refused or actor, org_id=UUID(str(org_id)), name=new_name)
        except NotAllowed as error:
            announce_denial(error.denial)

    def attempt(what: str, act: Callable[[str], None], new_name: str) -> None:
        journal.note("attempt", kind=what, name=new_name)
        began = time.monotonic()
        error = ""
        try:
            act(new_name)
        except Exception as raised:  # noqa: BLE001 - whatever it is, the write did not report success
            error = f"{type(raised).__name__}: {raised}".splitlines()[0]
        finally:
            close_old_connections()
        journal.note(
            "failed" if error else "done",
            kind=what,
            name=new_name,
            began=began,
            ended=time.monotonic(),
            error=error,
        )

    turn = 0
    while not stop.is_set():
        turn += 1
        if refused and turn % REFUSED_EVERY == 0:
            attempt("refusal", be_refused, f"{name} refused {turn}")
        else:
            attempt("rename", rename, f"{name} {turn}")
        stop.wait(PAUSE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
