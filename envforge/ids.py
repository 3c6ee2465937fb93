"""Identifiers: UUID version 7 (RFC 9562), so that keys sort by the time they were made."""

import secrets
import time
import uuid

from envforge.actor import Actor

MAX_KEY_LENGTH = 200


def uuid7() -> uuid.UUID:
    """A new UUIDv7: 48 bits of Unix milliseconds, 12 bits of the fraction of one (RFC 9562, 6.2, method 3), then 62 random bits.

    The fraction, a quarter of a microsecond, keeps two events of one transaction in the order in which they were told.
    """
    milliseconds, fraction_ns = divmod(time.time_ns(), 1_000_000)
    fraction = (fraction_ns << 12) // 1_000_000
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | secrets.randbits(62))


def id_of_request(org_id: uuid.UUID, actor: Actor, key: str) -> uuid.UUID:
    """The id of what a request makes: the same for the same idempotency key of the same actor, else a new one.

    Nothing of what was sent is in it (K3).
    """
    return uuid.uuid5(org_id, f"{actor.kind}\n{actor.id}\n{key}") if key else uuid7()
