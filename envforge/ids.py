"""Identifiers: UUID version 7 (RFC 9562), so that keys sort by the time they were made."""

import secrets
import time
import uuid

from envforge.actor import Actor

MAX_KEY_LENGTH = 200


def uuid7() -> uuid.UUID:
    """A new UUIDv7: 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def id_of_request(org_id: uuid.UUID, actor: Actor, key: str) -> uuid.UUID:
    """The id of what a request makes: the same for the same idempotency key of the same actor, else a new one.

    Nothing of what was sent is in it (K3).
    """
    return uuid.uuid5(org_id, f"{actor.kind}\n{actor.id}\n{key}") if key else uuid7()
