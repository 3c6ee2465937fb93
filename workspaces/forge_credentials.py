"""Credentials that an organization's own forge app mints for one repository, when a VM leases the command that fetches (THREATS H2, K2).

They are in the memory of the process that minted them and nowhere else of ours, and are revoked when the fetch has reported,
or after `HELD` where its report came to another process. A process that dies in between leaves them to end by themselves.
"""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from django.db import connections, transaction
from django.utils import timezone
from pydantic import SecretStr

from envforge import tenancy
from envforge.errors import Unavailable
from envforge.secret_value import SecretValue
from envforge_protocol.host.commands import Payload, PrepareShell
from envforge_protocol.host.workspaces import Repository as WireRepository
from envforge_protocol.host.workspaces import RepositoryCredential
from hosts.hooks import CommandRef, Finished
from projects import forge
from projects.forge import App, AppRefused, Minted, Trouble
from projects.forge_apps import app_of
from projects.models import Repository
from workspaces.models import Workspace

# What Git hosts take beside a token, whatever its kind.
USER = "x-access-token"
# Of a process' threads for leases; a slow forge must leave most to everybody else, and some to other organizations.
AT_ONCE, AT_ONCE_OF_ONE = 4, 2
# Well within a lease: what is not minted by then is tried again.
WITHIN_S = 15.0
# For so long a forge that is in trouble is waited for; then the shell opens without what it could not fetch.
WAITED_FOR = timedelta(seconds=60)
HELD = timedelta(minutes=10)
LOOKED_AT_EVERY_S = 30.0
NOT_BELOW = "This repository is not below the address that its forge app reads. Choose another access for it."

log = structlog.get_logger(__name__)


def fill(command: CommandRef, payload: Payload) -> Payload:
    """A credential for each repository that is read by an app, or the words why there is none.

    Raises:
        Unavailable: the forge or KMS does not answer, or is asked for too many at once; the command is leased again later.
    """
    assert isinstance(payload, PrepareShell)  # noqa: S101 - registered for this kind; for the types
    apps = _apps(command)
    if not apps:
        return payload
    ends_at = time.monotonic() + WITHIN_S
    patient = timezone.now() - command.created_at < WAITED_FOR
    tokens: dict[App, SecretValue] = {}
    with _turns.taken(command.org_id):
        filled = [
            _filled(command, one, apps[one.directory], tokens, ends_at, patient=patient)
            if one.directory in apps
            else one
            for one in payload.repositories
        ]
    return payload.model_copy(update={"repositories": tuple(filled)})


def fetched(ended: Finished) -> None:
    """The fetch is over, however that came: what was minted for it is revoked, after the commit."""
    transaction.on_commit(lambda: _held.end(ended.command.id))


def _apps(command: CommandRef) -> dict[str, App]:
    with tenancy.enter(command.org_id):
        project = Workspace.objects.filter(id=command.workspace_id).values("project_id")
        rows = Repository.objects.filter(project_id__in=project, removed_at=None, app__isnull=False)
        return {row.name: app_of(row.app) for row in rows.select_related("app") if row.app}


def _filled(
    command: CommandRef,
    one: WireRepository,
    app: App,
    tokens: dict[App, SecretValue],
    ends_at: float,
    *,
    patient: bool,
) -> WireRepository:
    name = app.repository_of(one.url)
    if name is None:
        return one.model_copy(update={"unreadable": NOT_BELOW})
    try:
        minted = _minted(app, name, tokens, ends_at)
    except AppRefused as refused:
        log.warning("forge.not_minted", command=str(command.id), trouble=refused.trouble.value)
        passes, words = refused.trouble in forge.PASSING, refused.words
    else:
        _held.keep(command.id, app.api_url, minted)
        credential = RepositoryCredential(
            username=USER, password=SecretStr(minted.token.reveal_text()), expires_at=minted.expires_at
        )
        return one.model_copy(update={"credential": credential})
    if passes and patient:
        raise Unavailable(words)
    return one.model_copy(update={"unreadable": words})


def _minted(app: App, name: str, tokens: dict[App, SecretValue], ends_at: float) -> Minted:
    if time.monotonic() > ends_at:
        raise AppRefused(Trouble.FORGE)
    if app not in tokens:
        tokens[app] = forge.signed(app)
    return forge.mint(app, tokens[app], name)


class _Turns:
    """How many commands are being filled by forges at the moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: list[UUID] = []

    @contextmanager
    def taken(self, org_id: UUID) -> Iterator[None]:
        with self._lock:
            if len(self._busy) >= AT_ONCE or self._busy.count(org_id) >= AT_ONCE_OF_ONE:
                raise Unavailable("Forges are being asked for as much as may be at once.")
            self._busy.append(org_id)
        try:
            yield
        finally:
            with self._lock:
                self._busy.remove(org_id)


@dataclass(frozen=True, slots=True)
class _Kept:
    api_url: str
    token: SecretValue
    until: float


class _Held:
    """What this process minted and has not revoked yet, by command."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[UUID, list[_Kept]] = {}
        self._watching = False
        self._revoking = ThreadPoolExecutor(2, "forge-revoking")

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, command_id: UUID, api_url: str, minted: Minted) -> None:
        kept = _Kept(api_url, minted.token, time.monotonic() + HELD.total_seconds())
        with self._lock:
            self._kept.setdefault(command_id, []).append(kept)
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="forge-held", daemon=True).start()

    def end(self, command_id: UUID) -> None:
        with self._lock:
            kept = self._kept.pop(command_id, [])
        for one in kept:
            self._revoking.submit(_revoke, one)

    def end_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            overdue = [key for key, kept in self._kept.items() if all(one.until < now for one in kept)]
        for command_id in overdue:
            self.end(command_id)

    def _watch(self) -> None:
        while True:
            time.sleep(LOOKED_AT_EVERY_S)
            self.end_overdue()
            with self._lock:
                if not self._kept:
                    self._watching = False
                    return


def _revoke(kept: _Kept) -> None:
    try:
        if not forge.revoke(kept.api_url, kept.token):
            log.info("forge.not_revoked")
    finally:
        connections.close_all()


_turns, _held = _Turns(), _Held()
