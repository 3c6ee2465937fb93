"""Who read which version of what, as VMs tell it (S4)."""

from collections.abc import Iterable
from uuid import UUID

from envforge.actor import HostActor
from envforge_protocol.host.runtimes import Reference
from hosts.hooks import Finished
from secrets_ref.consumption import record_consumption
from secrets_ref.grants import arn_of_secret
from secrets_ref.models import Secret


def note_consumed(
    ended: Finished, *, workspace_id: UUID, service: str, references: Iterable[Reference]
) -> None:
    """Record what a service, or a command beside it, read in the command that ended."""
    versions = {one.arn: one.version for one in references}
    if not versions:
        return
    paths = {arn.partition(":parameter")[2] for arn in versions}
    rows = Secret.objects.filter(path__in=paths, deleted_at=None).select_related("role")
    consumed = {row.id: versions[arn] for row in rows if (arn := arn_of_secret(row)) in versions}
    if not consumed:
        return
    command = ended.command
    record_consumption(
        actor=HostActor(
            id=str(command.host_id),
            label="Runtime VM",
            host_id=command.host_id,
            org_id=command.org_id,
            generation=command.generation,
        ),
        org_id=command.org_id,
        workspace_id=workspace_id,
        service=service,
        host_id=command.host_id,
        run_id=command.id,
        consumed=consumed,
    )
