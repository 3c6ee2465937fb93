"""Letting people into shells: certificates of some minutes, and ending what was begun with them (W5, H7)."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.serialization.ssh import SSHCertificate
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor
from envforge.errors import Conflict, NotVisible
from orgs import policy
from orgs.access import hold_access
from orgs.policy import Action
from workspaces import authorities, certificates
from workspaces.certificates import VALID_FOR
from workspaces.holders import holder_id_of
from workspaces.locks import locked_workspace
from workspaces.models import Certificate, Presence, Shell, ShellSession, ShellState, Workspace
from workspaces.ssh_keys import certificate_for, key_id_of, read_public_key

# Clocks differ: whoever is a little behind is let in at once.
BACKDATED = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate as it is handed over, and what an SSH client needs beside it.

    `certificate` is OpenSSH's one line; `host_key` the shell's own key, to be expected of whoever answers, under the
    name `host_key_alias`.
    """

    certificate: str
    serial: int
    issued_at: datetime
    expires_at: datetime
    login: str
    host_key: str
    host_key_alias: str
    forwarding: bool


def issue_certificate(
    *, actor: Actor, org_id: UUID, workspace_id: UUID, public_key: str, forwarding: bool = False
) -> Issued:
    """Certify somebody's public key for one workspace's shell, for five minutes.

    Args:
        public_key: one OpenSSH line.
        forwarding: let it forward ports, to reach private consoles.

    Raises:
        NotVisible, NotAllowed: see `policy.require`; forwarding takes an action of its own.
        Invalid: the key cannot be used, in words.
        Conflict: the workspace is archived, or its shell is not ready.
        EnvForgeError: the secret store does not answer.
    """
    with tenancy.enter(org_id):
        # Before the key is read and the store asked, and again when it is handed over.
        _require(actor, workspace_id, forwarding=forwarding)
    key = read_public_key(public_key)
    now = timezone.now()
    serial = secrets.randbelow((1 << 63) - 1) + 1
    expires_at = now + VALID_FOR
    signed = authorities.sign(
        org_id,
        certificate_for(
            key,
            serial=serial,
            key_id=key_id_of(holder_id_of(actor), actor.label),
            workspace_id=workspace_id,
            issued_at=now - BACKDATED,
            expires_at=expires_at,
            forwarding=forwarding,
        ),
    )
    with tenancy.enter(org_id):
        hold_access()
        workspace, shell = _require(actor, workspace_id, forwarding=forwarding)
        Certificate.objects.create(
            workspace=workspace,
            serial=serial,
            holder=actor.label[:200],
            holder_kind=actor.kind,
            holder_id=actor.id,
            person_id=next(iter(sorted(actor.people)), None),
            forwarding=forwarding,
            issued_at=now,
            expires_at=expires_at,
        )
        append(EventKind.SHELL_CERTIFICATE_ISSUED, actor=actor, target=workspace, expires_at=expires_at)
        return Issued(
            certificate=_line(signed),
            serial=serial,
            issued_at=now,
            expires_at=expires_at,
            login=str(workspace.id),
            host_key=shell.host_key,
            host_key_alias=f"{workspace.id}.envforge",
            forwarding=forwarding,
        )


def end_session(*, actor: Actor, org_id: UUID, workspace_id: UUID, session_id: UUID) -> None:
    """End an SSH connection and its certificate: one's own, or anybody's by whoever may close the workspace. Again, it changes nothing.

    Raises:
        NotVisible, NotAllowed: see `policy.require`.
    """
    with tenancy.enter(org_id):
        workspace = locked_workspace(actor, Action.RECEIPT_VIEW, workspace_id)
        session = (
            ShellSession.objects.select_related("certificate")
            .filter(id=session_id, workspace=workspace)
            .first()
        )
        if session is None:
            raise NotVisible
        if (session.certificate.holder_kind, session.certificate.holder_id) != (actor.kind, actor.id):
            policy.require(actor, Action.WORKSPACE_ARCHIVE, workspace)
        if session.disconnected_at is None:
            same = Certificate.objects.filter(id=session.certificate_id)
            if not certificates.end(same, actor=actor, cause="asked"):
                # It is revoked already, and yet the VM has not told of an end: it is told once more.
                certificates.tell_vm(workspace.id, [session.certificate], cause="asked")


def _require(actor: Actor, workspace_id: UUID, *, forwarding: bool) -> tuple[Workspace, Shell]:
    workspace = locked_workspace(actor, Action.SHELL_CONNECT, workspace_id)
    if forwarding:
        policy.require(actor, Action.CONSOLE_FORWARD, workspace)
    if workspace.wanted != Presence.PRESENT:
        raise Conflict("This workspace is archived. Restore it, and its shell comes back.")
    shell = Shell.objects.get(workspace=workspace)
    if shell.observed != ShellState.READY or not shell.host_key:
        why = f" {shell.trouble}" if shell.trouble else " It is being prepared; try again in a minute."
        raise Conflict(f"The shell is not ready yet.{why}")
    return workspace, shell


def _line(signed: SSHCertificate) -> str:
    return signed.public_bytes().decode()
