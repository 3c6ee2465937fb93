"""What is stored of a secret that somebody else holds."""

import hashlib


def digest(held: str) -> str:
    """SHA-256 in hex: enough for values of 256 random bits, which nobody can guess one by one."""
    return hashlib.sha256(held.encode()).hexdigest()
