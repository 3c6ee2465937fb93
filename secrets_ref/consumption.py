"""Which service of which workspace read which version, as hosts report it (S4)."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.utils import timezone

from audit.append import append
from audit.kinds import EventKind
from envforge import tenancy
from envforge.actor import Actor, Target
from secrets_ref.models import Consumption, Secret


def record_consumption(
    *,
    actor: Actor,
    org_id: UUID,
    workspace_id: UUID,
    service: str,
    host_id: UUID,
    run_id: UUID,
    consumed: Mapping[UUID, int],
) -> int:
    """Record what a service read, and that it runs with these versions now; the same run's report again changes nothing.

    Args:
        actor: whose report it is, such as the host.
        run_id: the command in which it read them.
        consumed: version by secret id; secrets that the organization does not have are passed over.

    Returns:
        How many were recorded.
    """
    recorded = 0
    with tenancy.enter(org_id):
        secrets = Secret.objects.select_for_update().filter(id__in=consumed).order_by("id")
        for secret in secrets:
            version = consumed[secret.id]
            place: dict[str, Any] = {"secret": secret, "workspace_id": workspace_id, "service": service}
            rows = Consumption.objects.filter(**place)
            if rows.filter(run_id=run_id, host_id=host_id, version=version).exists():
                continue
            rows.filter(running=True).update(running=False)
            Consumption.objects.update_or_create(
                **place,
                host_id=host_id,
                generation=secret.generation,
                version=version,
                defaults={"run_id": run_id, "consumed_at": timezone.now(), "running": True},
            )
            target = Target("secret", str(secret.id), secret.name, workspace_id=workspace_id)
            append(EventKind.SECRET_CONSUMED, actor=actor, target=target, service=service, version=version)
            recorded += 1
    return recorded


def end_consumption(*, org_id: UUID, workspace_id: UUID) -> None:
    """A workspace's services ended: they run with no version any more. Again, it changes nothing."""
    with tenancy.enter(org_id):
        Consumption.objects.filter(workspace_id=workspace_id, running=True).update(running=False)


def consumed_on(*, org_id: UUID, host_id: UUID) -> list[UUID]:
    """The ids of the secrets that were read on a host, ever: what is to be rotated when it was compromised (H5)."""
    with tenancy.enter(org_id):
        rows = Consumption.objects.filter(host_id=host_id).values_list("secret_id", flat=True)
        return list(rows.distinct().order_by("secret_id"))
