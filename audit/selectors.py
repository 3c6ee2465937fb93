"""Reading the audit. Which person may read what is asked by `timeline`, above; the public keys are everybody's."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count

from audit.models import ChainHead, Checkpoint, Event, SigningKey
from envforge import tenancy


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """How far the entered organization's chain is sealed and signed, and how many events wait."""

    sealed_seq: int
    signed_seq: int
    signed_at: datetime | None
    unsealed: int


def signing_keys() -> list[dict[str, str]]:
    """Every key that has signed a checkpoint, the oldest first: `key_id` and `pem`."""
    return [{"key_id": key.key_id, "pem": key.pem} for key in SigningKey.objects.order_by("first_used_at")]


def chain_status() -> ChainStatus:
    """The state of the entered organization's chain."""
    org_id = tenancy.current_org()
    head = ChainHead.objects.filter(org_id=org_id).first()
    waiting = Event.objects.filter(org_id=org_id, seq=None).aggregate(count=Count("id"))["count"]
    if head is None:
        return ChainStatus(0, 0, None, waiting)
    return ChainStatus(head.seq, head.signed_seq, head.signed_at, waiting)


def last_checkpoint() -> Checkpoint | None:
    """The entered organization's newest signed checkpoint."""
    return Checkpoint.objects.filter(org_id=tenancy.current_org()).order_by("-seq").first()
