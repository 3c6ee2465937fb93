"""Which workspaces a VM may speak of: those that are on it, or lately were."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from envforge.actor import HostActor
from hosts.models import Placement

# What happened on a VM is told a little after a workspace left it.
LATELY = timedelta(days=1)


def placed(actor: HostActor, workspace_ids: Iterable[UUID]) -> frozenset[UUID]:
    """Those of these workspaces that are on the VM of this actor, or were a day ago; in its entered organization."""
    asked = set(workspace_ids)
    if not asked:
        return frozenset()
    there = Placement.objects.filter(
        Q(ended_at=None) | Q(ended_at__gte=timezone.now() - LATELY),
        host_id=actor.host_id,
        generation=actor.generation,
        slot__workspace_id__in=asked,
    )
    return frozenset(there.values_list("slot__workspace_id", flat=True))
