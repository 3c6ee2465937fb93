"""Ending what certificates let people do: themselves and the connections that were begun with them (H7, I4, W5).

Everything here is called in an entered organization and a transaction; the VM is told through its queue, once that commits.
"""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge.actor import Actor
from envforge.errors import NotVisible
from envforge_protocol.host.commands import EndShell
from hosts import queue
from hosts.hooks import Finished
from orgs import policy
from orgs.access import Narrowed
from orgs.offboarding import Closing
from orgs.policy import Action
from workspaces.holders import as_actor
from workspaces.models import Certificate, Shell, ShellSession, Workspace

VALID_FOR = timedelta(minutes=5)
# A VM ends each connection after this long (docs/shell.md), so that older certificates have none.
LONGEST_CONNECTION = timedelta(hours=12)


def count_held(closing: Closing) -> int:
    """How many certificates a member holds that still let somebody in, or keep a connection."""
    return len(_live(_of_holder(closing.person_id)))


def close_held(closing: Closing) -> int:
    """End a member's certificates and connections, those of programs that act for them too (I4)."""
    return end(_of_holder(closing.person_id), actor=closing.actor, cause=closing.cause)


def access_narrowed(narrowed: Narrowed) -> None:
    """End what a holder's remaining roles would not give them any more."""
    held = _recent(_of_holder(narrowed.holder_id)).select_related("workspace")
    lost = [one.id for one in held if narrowed.everything or not _may_still(one)]
    if lost:
        end(Certificate.objects.filter(id__in=lost), actor=narrowed.actor, cause=narrowed.cause)


def end_all_of(workspace: Workspace, *, actor: Actor, cause: str) -> int:
    """End every certificate and connection of a locked workspace that closes; answers how many certificates those were."""
    return end(Certificate.objects.filter(workspace=workspace), actor=actor, cause=cause)


def end(certificates: "QuerySet[Certificate]", *, actor: Actor, cause: str) -> int:
    """Revoke what still works of these, end the connections, each with its event; answers how many still worked.

    A connection whose beginning the VM has not told yet is ended too: by its serial, and by the holder's id.
    """
    recent = list(_recent(certificates).select_related("workspace").order_by("id"))
    live = {one.id for one in _live(Certificate.objects.filter(id__in=[one.id for one in recent]))}
    now = timezone.now()
    for one in recent:
        one.revoked_at, one.revoked_cause = now, cause[:40]
        one.save(update_fields=["revoked_at", "revoked_cause"])
        if one.id in live:
            append(
                EventKind.SHELL_ACCESS_ENDED,
                actor=actor,
                target=one.workspace,
                holder=one.holder,
                cause=cause,
            )
    for workspace_id in sorted({one.workspace_id for one in recent}):
        tell_vm(workspace_id, [one for one in recent if one.workspace_id == workspace_id], cause=cause)
    return len(live)


def tell_vm(workspace_id: UUID, certificates: Iterable[Certificate], *, cause: str) -> None:
    """Have the shell's VM refuse these certificates for good, and end what was begun with them."""
    serials = tuple(sorted(one.serial for one in certificates))
    host_id = Shell.objects.filter(workspace_id=workspace_id).values_list("host_id", flat=True).first()
    if host_id is None or not serials:
        return
    queue.want(
        host_id=host_id,
        payload=EndShell(workspace_id=workspace_id, serials=serials),
        key=f"end-shell/{workspace_id}/{timezone.now().timestamp()}/{serials[0]}",
        cause=cause,
    )


def repeat_on_new_vm(ended: Finished) -> None:
    """A shell was prepared, perhaps on a VM that never heard of what was revoked: it hears of what would still be let in."""
    if ended.outcome is None:
        return
    revoked = Certificate.objects.filter(
        workspace_id=ended.command.workspace_id, revoked_at__isnull=False, expires_at__gt=timezone.now()
    )
    tell_vm(ended.command.workspace_id, revoked, cause="revoked")


def _of_holder(holder_id: UUID) -> "QuerySet[Certificate]":
    """Those of a person, with their agents'; or those of a program."""
    return Certificate.objects.filter(
        Q(person_id=holder_id) | Q(holder_kind="service_account", holder_id=str(holder_id))
    )


def _recent(certificates: "QuerySet[Certificate]") -> "QuerySet[Certificate]":
    """Those that may still let somebody in, or have a connection, told or not; locked."""
    since = timezone.now() - LONGEST_CONNECTION - VALID_FOR
    return certificates.filter(revoked_at=None, issued_at__gt=since).select_for_update(of=("self",))


def _live(certificates: "QuerySet[Certificate]") -> list[Certificate]:
    """Those that work still, or of which a connection is known to be open."""
    open_now = ShellSession.objects.filter(disconnected_at=None).values("certificate_id")
    return list(
        certificates.filter(Q(revoked_at=None)).filter(Q(expires_at__gt=timezone.now()) | Q(id__in=open_now))
    )


def _may_still(one: Certificate) -> bool:
    holder = as_actor(
        kind=one.holder_kind,
        actor_id=one.holder_id,
        label=one.holder,
        org_id=one.org_id,
        acts_for=one.person_id if one.holder_kind == "service_account" else None,
    )
    asked = [Action.SHELL_CONNECT] + ([Action.CONSOLE_FORWARD] if one.forwarding else [])
    try:
        answers = policy.explain(holder, *asked, target=one.workspace)
    except NotVisible:
        return False
    return all(answer.allowed for answer in answers.values())
