"""A workspace with one small service on the whole product, and the times of its wakes as the rows tell them."""

import contextlib
import http.client
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from bench import _django

# isort: split
from django.conf import settings

from envforge import tenancy
from envforge.actor import SYSTEM
from envforge.secret_value import SecretValue
from hosts.models import HostCommand
from local_cloud.git.adding import Source, add, initialize
from local_cloud.git.names import RepositoryName
from local_cloud.git.store import Store
from orgs import operations
from orgs.roles import Role
from projects import operations as projects
from projects.models import Proposal
from secrets_ref.operations import set_secret
from workspaces.models import Runtime, Shell, Wake, Workspace
from workspaces.operations.workspaces import open_workspace

APP = Path(__file__).with_name("_app.py")
LOOK_EVERY_S = 0.002
CONTRACT = """
version: 1
service:
  name: app
  kind: app
  type: python
command: [python3, app.py]
ports:
  web: 4000
routes:
  api: [/]
env:
  PORT: ${ports.web}
health:
  http: /
"""
# From the request to the look that found it awake, in order.
STAGES = (
    "the request is committed",
    "its VM is asked to start the services",
    "on the way to and from the VM",
    "the VM, less the app's own start",
    "recorded, and seen awake",
)


@dataclass(frozen=True)
class Times:
    """One wake: seconds from the request until it was seen awake, and what each stage took (`own_s` is in the last but one)."""

    whole_s: float
    stages: tuple[float, ...]


class Waking:
    """An organization of its own, whose runtime is woken through the API."""

    def __init__(self) -> None:
        owner = operations.remember_person(
            issuer="https://issuer.bench/",
            subject="owner",
            email="owner@bench.test",
            email_verified=True,
            name="Owner",
        )
        self.slug = "bench"
        organization = operations.create_organization(actor=SYSTEM, slug=self.slug, name="Bench", owner=owner)
        self.org_id = organization.id
        self.actor = owner.as_actor()
        account = operations.create_service_account(
            actor=self.actor, org_id=self.org_id, creator=owner, name="bench", role=Role.ADMIN
        )
        _, self._token = operations.issue_token(
            actor=self.actor,
            org_id=self.org_id,
            issuer=owner,
            account_id=account.id,
            name="bench",
            scopes=frozenset({"runtime.wake", "runtime.sleep", "workspace.view"}),
            lifetime=timedelta(hours=1),
        )
        self._web = http.client.HTTPConnection(urlsplit(settings.CONSOLE_URL).netloc, timeout=30)
        self._database = _django.superuser().__enter__()
        self.workspace = self._opened()
        with tenancy.enter(self.org_id):
            self.runtime_id: UUID = Runtime.objects.values_list("id", flat=True).get(workspace=self.workspace)

    def close(self) -> None:
        self._web.close()
        self._database.close()

    # What is there

    def _opened(self) -> Workspace:
        project = projects.create_project(actor=self.actor, org_id=self.org_id, slug="bench", name="Bench")
        store, name = Store(Path(os.environ["ENVFORGE_TEST_GIT_STATE"])), RepositoryName("bench", "app")
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copy(APP, Path(scratch) / "app.py")
            (Path(scratch) / "envforge.yml").write_text(CONTRACT.lstrip())
            initialize(Path(scratch))
            add(store, name, Source.of(Path(scratch)))
        access = set_secret(
            actor=self.actor,
            org_id=self.org_id,
            name="GIT_APP",
            value=SecretValue(store.deploy_token(name)),
        )
        projects.add_repository(
            actor=self.actor,
            org_id=self.org_id,
            project_id=project.id,
            name="app",
            url=f"{os.environ['ENVFORGE_TEST_GIT_URL']}/{name}.git",
            access_id=access.id,
        )
        return open_workspace(actor=self.actor, org_id=self.org_id, project_id=project.id, branch="main")

    def prepare(self) -> None:
        """Wait for the shell and its trees, approve what they propose, and wake once, so that the VM is there."""
        self._until(lambda: self._shell() == "ready", 120, "its shell is ready")
        with tenancy.enter(self.org_id):
            waiting = list(Proposal.objects.filter(decision="proposed").values_list("id", flat=True))
        for one in waiting:
            projects.approve_contract(actor=self.actor, org_id=self.org_id, proposal_id=one)
        self._post("wake")
        self._until(lambda: self._observed() == "awake", 120, "it is awake")

    def _shell(self) -> str:
        with tenancy.enter(self.org_id):
            return str(Shell.objects.values_list("observed", flat=True).get(workspace=self.workspace))

    def _observed(self) -> str:
        row = self._database.execute(
            "SELECT observed FROM workspaces_runtime WHERE id = %s", [self.runtime_id]
        ).fetchone()
        return str(row[0]) if row else ""

    def _until(self, true: Callable[[], bool], within_s: float, what: str, every_s: float = 0.05) -> None:
        deadline = time.monotonic() + within_s
        while not true():
            if time.monotonic() > deadline or self._observed() == "failed":
                raise SystemExit(f"It did not happen that {what}: {self._trouble()}")
            time.sleep(every_s)

    def _trouble(self) -> str:
        with tenancy.enter(self.org_id):
            runtime = Runtime.objects.get(id=self.runtime_id)
            return f"runtime {runtime.observed}, {runtime.trouble or 'no trouble is told'}; shell {self._shell()}"

    # Waking

    def _post(self, what: str) -> None:
        # Anew each time: a web process hangs up on who says nothing for some seconds.
        self._web.close()
        self._web.request(
            "POST",
            f"/api/v1/orgs/{self.slug}/workspaces/{self.workspace.id}/{what}",
            headers={"Authorization": f"Bearer {self._token.reveal_text()}"},
        )
        answer = self._web.getresponse()
        said = answer.read()
        if answer.status != 202:
            raise SystemExit(f"{what} was answered {answer.status}: {said[:300]!r}")

    def sleep(self) -> None:
        """Put it to sleep; its VM stays for its grace."""
        self._post("sleep")
        self._until(lambda: self._observed() == "asleep", 60, "it sleeps")

    def wake(self, own_s: float) -> Times:
        """Wake it and time that; `own_s` is what the app takes to start by itself."""
        began = time.time()
        self._post("wake")
        self._until(lambda: self._observed() == "awake", 60, "it is awake", LOOK_EVERY_S)
        ended = time.time()
        return Times(ended - began, self._stages(began, ended, own_s))

    def _stages(self, began: float, ended: float, own_s: float) -> tuple[float, ...]:
        with tenancy.enter(self.org_id):
            wake = Wake.objects.filter(runtime_id=self.runtime_id).latest("epoch")
            start = HostCommand.objects.get(
                workspace_id=self.workspace.id, key=wake.start_key(self.workspace.id)
            )
        on_vm = _ready_s(start)
        asked_at = wake.asked_at.timestamp()
        start_at, done_at = _at(start.created_at), _at(start.finished_at)
        return (
            asked_at - began,
            start_at - asked_at,
            done_at - start_at - on_vm,
            on_vm - own_s,
            ended - done_at,
        )


def _ready_s(start: HostCommand) -> float:
    outcome: dict[str, Any] = start.outcome or {}
    return float(outcome["readiness"]["ready_ms"]) / 1000


def _at(moment: datetime | None) -> float:
    if moment is None:
        raise SystemExit("A command of this wake is not over.")
    return moment.timestamp()


def own_start(python: str, port: int) -> float:
    """Seconds from running the app until it answers, with nothing around it."""
    began = time.perf_counter()
    with subprocess.Popen([python, str(APP)], env={"PATH": os.defpath, "PORT": str(port)}) as app:
        try:
            while app.poll() is None:
                with contextlib.suppress(OSError):
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                    connection.request("GET", "/")
                    if connection.getresponse().status == 200:
                        return time.perf_counter() - began
                time.sleep(0.001)
            raise SystemExit("The app ended by itself.")
        finally:
            app.terminate()
