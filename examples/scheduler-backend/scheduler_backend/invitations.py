"""Invitations: a token that says which booking, which guest and until when, signed so that nobody can make one up."""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import date

from scheduler_backend.bookings import Refused

_MAC_BYTES = 32
_LONGEST_TOKEN = 1000


@dataclass(frozen=True)
class Invitation:
    """A guest's invitation to a booking, good to the end of its day."""

    booking: int
    guest: str
    day: str


def token(key: bytes, invitation: Invitation) -> str:
    """The invitation as text for an address; who holds it may answer for the guest."""
    content = json.dumps([invitation.booking, invitation.guest, invitation.day], ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(_mac(key, content) + content).decode().rstrip("=")


def read(key: bytes, text: str, today: date) -> Invitation:
    """Raises Refused: the token is not one of ours, or its day is over. The words are the same for both."""
    refused = Refused(404, "This invitation is not good any more. Ask for a new one.")
    try:
        if len(text) > _LONGEST_TOKEN:
            raise refused
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise refused from None
    mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, content)):
        raise refused
    invitation = Invitation(*json.loads(content))
    if invitation.day < today.isoformat():
        raise refused
    return invitation


def _mac(key: bytes, content: bytes) -> bytes:
    # Named, so that a signature made for anything else under this key is none here.
    return hmac.digest(key, b"invitation\0" + content, hashlib.sha256)
