"""SSH connections as VMs tell of them (W5): whose each is, the certificate says as it was issued, and not the VM."""

from datetime import datetime

import structlog
from django.db import IntegrityError, transaction

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import Actor, HostActor
from envforge_protocol.host.reports import Report, ShellConnected, ShellDisconnected
from hosts.changes import Change, HostChange
from workspaces import certificates
from workspaces.holders import as_actor
from workspaces.models import Certificate, ShellSession

# What ends every connection to a VM, whether that told of it or not.
GONE = {
    Change.READY: "restarted",
    Change.AWAY: "host_lost",
    Change.REPLACED: "host_lost",
    Change.ENDED: "host_lost",
}

log = structlog.get_logger(__name__)


def connected(actor: HostActor, report: Report) -> None:
    """Somebody came in; told twice, it is one connection."""
    body = report.body
    assert isinstance(body, ShellConnected)  # noqa: S101 - registered for this kind; for the types
    certificate = _certificate(body)
    if certificate is None:
        log.warning("workspaces.session_unknown", host=actor.id, session=str(body.session_id))
        return
    if _begun(certificate, body, actor, report.at) is None:
        return
    append(EventKind.SHELL_CONNECTED, actor=holder_of(certificate), target=certificate.workspace)
    if certificate.revoked_at is not None:
        certificates.tell_vm(certificate.workspace_id, [certificate], cause=certificate.revoked_cause)


def disconnected(actor: HostActor, report: Report) -> None:
    """Somebody left, or was made to."""
    body = report.body
    assert isinstance(body, ShellDisconnected)  # noqa: S101 - as above
    certificate = _certificate(body)
    if certificate is None:
        log.warning("workspaces.session_unknown", host=actor.id, session=str(body.session_id))
        return
    session = (
        ShellSession.objects.select_for_update()
        .filter(session_id=body.session_id, certificate=certificate)
        .first()
    )
    if session is None or session.disconnected_at is not None:
        return
    _end(session, at=report.at, cause=body.cause, duration_s=max(body.duration_s, 0))


def host_changed(change: HostChange) -> None:
    """A VM went away or began anew: nobody is connected there any more."""
    cause = GONE.get(change.change)
    if cause is None:
        return
    sessions = ShellSession.objects.select_for_update(of=("self",)).select_related("certificate__workspace")
    for session in sessions.filter(host_id=change.host_id, disconnected_at=None).order_by("id"):
        at = change.heard_at or session.connected_at
        _end(session, at=at, cause=cause)


def _begun(
    certificate: Certificate, body: ShellConnected, actor: HostActor, at: datetime
) -> ShellSession | None:
    try:
        with transaction.atomic():
            return ShellSession.objects.create(
                workspace=certificate.workspace,
                certificate=certificate,
                session_id=body.session_id,
                host_id=actor.host_id,
                connected_at=at,
            )
    except IntegrityError:
        return None


def _end(session: ShellSession, *, at: datetime, cause: str, duration_s: int | None = None) -> None:
    session.disconnected_at = max(at, session.connected_at)
    session.end_cause = cause
    session.save(update_fields=["disconnected_at", "end_cause"])
    lasted = (session.disconnected_at - session.connected_at).total_seconds()
    append(
        EventKind.SHELL_DISCONNECTED,
        actor=holder_of(session.certificate),
        target=session.certificate.workspace,
        duration_s=int(lasted) if duration_s is None else duration_s,
        cause=cause,
    )


def _certificate(body: ShellConnected | ShellDisconnected) -> Certificate | None:
    """The certificate with this serial, if it is of this workspace."""
    found = Certificate.objects.select_related("workspace").filter(
        serial=body.serial, workspace_id=body.workspace_id
    )
    return found.first()


def holder_of(certificate: Certificate) -> Actor:
    """Whoever a certificate lets in."""
    return as_actor(
        kind=certificate.holder_kind,
        actor_id=certificate.holder_id,
        label=certificate.holder,
        org_id=certificate.org_id,
        acts_for=certificate.person_id if certificate.holder_kind == "service_account" else None,
    )
