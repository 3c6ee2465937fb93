"""Commands and shells over real VMs: setup's receipts, a test that wakes, one that is cancelled, and SSH by a certificate.

A VM simulator, the VM's program, PostgreSQL and the Git host are all real; the SSH client is OpenSSH's.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import override_settings

from envforge import tenancy
from envforge.host_forms import Files
from orgs.operations import grant_role, suspend_member
from orgs.roles import Role, Scope
from tests.product.host_api.conftest import address
from tests.product.workspaces.real import Real
from tests.product.world import World
from tests.vms import Vms
from workspaces.models import CommandOutput, CommandRun, CommandType, ShellSession
from workspaces.operations.certificates import issue_certificate
from workspaces.operations.commands import cancel_run, run_command
from workspaces.reconcile import commands

__all__ = ["address"]  # a fixture


@pytest.fixture(scope="module")
def real(vms: Vms, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with override_settings(
        HOST_API_HOST=urlsplit(address).hostname,
        HOST_API_URL=address,
        WORKSPACE_FILES=Files("directory", str(vms.directory / "files")),
    ):
        made = Real(World(), vms, tmp_path_factory.mktemp("repositories"))
        yield made
        made.end()


def ask(real: Real, **given: Any) -> CommandRun:
    return run_command(
        actor=real.alice, org_id=real.org_id, workspace_id=real.opened.id, service="web", **given
    )


def again(real: Real, run: CommandRun) -> CommandRun:
    with tenancy.enter(real.org_id):
        return CommandRun.objects.get(id=run.id)


def until(real: Real, holds: Callable[[], object], within_s: float = 120.0) -> None:
    def look() -> object:
        commands.reconcile_all(real.org_id, real.opened.id)
        return holds()

    real.until(look, real.told(), within_s=within_s)


@contextmanager
def ended(program: "subprocess.Popen[str]") -> "Iterator[subprocess.Popen[str]]":
    """The program, ended afterwards whatever happened."""
    with program:
        try:
            yield program
        finally:
            program.kill()


def output(real: Real, run: CommandRun) -> str:
    with tenancy.enter(real.org_id):
        parts = CommandOutput.objects.filter(run_id=run.id).order_by("offset")
        return b"".join(bytes(one.data) for one in parts).decode()


def test_w6_w9_a_test_wakes_the_runtime_runs_and_leaves_its_receipt(real: Real) -> None:
    real.shell_ready()
    real.approve()
    real.bind()
    run = ask(real, type=CommandType.TEST, name="unit")
    until(real, lambda: again(real, run).finished_at)
    done = again(real, run)
    assert (done.exit_status, done.trouble) == (0, ""), output(real, run)
    until(real, lambda: "OK" in output(real, run))
    with tenancy.enter(real.org_id):
        steps = CommandRun.objects.filter(type=CommandType.SETUP, service="web")
        assert [(one.name, one.exit_status) for one in steps] == [("compile", 0)]


def test_w9_one_that_runs_is_cancelled_on_its_vm(real: Real) -> None:
    run = ask(real, type=CommandType.AGENT, argv=("/bin/sh", "-c", "echo begun; exec sleep 600"))
    until(real, lambda: "begun" in output(real, run))
    cancel_run(actor=real.alice, org_id=real.org_id, workspace_id=real.opened.id, run_id=run.id)
    until(real, lambda: again(real, run).finished_at, within_s=60)
    done = again(real, run)
    assert (done.exit_status, done.trouble) == (143, "Alice cancelled it.")


@pytest.mark.skipif(shutil.which("ssh") is None, reason="openssh-client is not installed")
def test_w5_h7_a_certificate_opens_the_shell_until_its_holder_is_suspended(
    real: Real, tmp_path: Path
) -> None:
    bob = real.world.bob
    grant_role(
        actor=real.alice,
        org_id=real.org_id,
        person_id=bob.id,
        role=Role.COLLABORATOR,
        scope=Scope.WORKSPACE,
        scope_id=real.opened.id,
    )
    key = tmp_path / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    issued = issue_certificate(
        actor=bob.as_actor(),
        org_id=real.org_id,
        workspace_id=real.opened.id,
        public_key=(tmp_path / "id.pub").read_text(),
    )
    (tmp_path / "id-cert.pub").write_text(issued.certificate)
    known = tmp_path / "known"
    known.write_text(f"{issued.host_key_alias} {issued.host_key}\n")
    shell = real.shell()
    with tenancy.enter(real.org_id):
        host = shell.host
        assert host is not None
        where = host.address
    argv = [
        *("ssh", "-F", "none", "-T", "-i", str(key), "-p", str(shell.ssh_port)),
        *("-o", f"UserKnownHostsFile={known}", "-o", f"HostKeyAlias={issued.host_key_alias}"),
        *("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes"),
        f"{issued.login}@{where}",
        "echo here; exec sleep 600",
    ]
    with ended(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)) as connected:
        assert connected.stdout is not None
        assert connected.stdout.readline() == "here\n"

        def sessions() -> list[ShellSession]:
            with tenancy.enter(real.org_id):
                return list(ShellSession.objects.filter(workspace_id=real.opened.id))

        real.until(lambda: len(sessions()) == 1, real.told(), within_s=60)
        suspend_member(actor=real.alice, org_id=real.org_id, person_id=bob.id)
        real.until(lambda: connected.poll() is not None, real.told(), within_s=60)
        real.until(lambda: sessions()[0].disconnected_at, real.told(), within_s=60)
        assert sessions()[0].end_cause == "access_ended"
        refused = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        assert "Permission denied" in refused.stderr
