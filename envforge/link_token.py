"""Tokens for single-use links in e-mail that are stored nowhere: derived again when the mail is sent.

The row that a link leads to keeps a random nonce and the token's digest. Whoever reads the database has both and still
no token, which takes the server's secret key; whoever holds the key alone lacks the nonce. A new nonce is a new token,
and the old one is dead.
"""

import base64
import hashlib
import re
import secrets
from uuid import UUID

from django.utils.crypto import salted_hmac

from envforge.secret_value import SecretValue

NONCE_BYTES = 32
_PURPOSE = re.compile(r"[a-z]+")


def new_nonce() -> bytes:
    return secrets.token_bytes(NONCE_BYTES)


def derive(purpose: str, row_id: UUID, nonce: bytes) -> SecretValue:
    """The token of a row: `envf_PURPOSE_` and 256 bits, the same whenever it is asked for.

    The form is one that audit, logs and intake recognise as a credential.
    """
    if not _PURPOSE.fullmatch(purpose) or len(nonce) != NONCE_BYTES:
        raise ValueError("A purpose is lowercase letters; a nonce is what new_nonce() made.")
    keyed = salted_hmac(f"envforge.link_token.{purpose}", row_id.bytes + nonce, algorithm="sha256").digest()
    return SecretValue(f"envf_{purpose}_{base64.urlsafe_b64encode(keyed).rstrip(b'=').decode()}")


def digest_of(token: str | SecretValue) -> bytes:
    """What is stored of a token, and looked up when somebody brings one."""
    text = token.reveal_text() if isinstance(token, SecretValue) else token
    return hashlib.sha256(text.encode()).digest()
