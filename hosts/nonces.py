"""Nonces for joining: good once, for 60 s, for one instance (H4).

A nonce is signed, not stored: giving one out does no database work, so that its answer and its time say nothing about
whether there is such an instance, and whoever asks for many fills no table. What is stored is that one was used, where
every web process and every restart sees it.
"""

import hashlib
import re
import secrets
import time
from datetime import UTC, datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from hosts.models import SpentNonce

LIFETIME_S = 60
_FORM = re.compile(r"([0-9]{10})\.([A-Za-z0-9_-]{32})\.([0-9a-f]{64})")


def new(instance_id: str) -> str:
    """A nonce for this instance, whether there is one or not."""
    until, chance = str(int(time.time()) + LIFETIME_S), secrets.token_urlsafe(24)
    return f"{until}.{chance}.{_seal(until, chance, instance_id)}"


def spend(nonce: str, instance_id: str) -> bool:
    """Whether this is a nonce of ours for this instance, not too old and never used before; now it is used."""
    parts = _FORM.fullmatch(nonce)
    if parts is None:
        return False
    until, chance, seal = parts.groups()
    if not constant_time_compare(seal, _seal(until, chance, instance_id)) or int(until) <= time.time():
        return False
    _forget()
    try:
        with transaction.atomic():
            SpentNonce.objects.create(
                digest=hashlib.sha256(nonce.encode()).hexdigest(),
                expires_at=datetime.fromtimestamp(int(until), UTC),
            )
    except IntegrityError:
        return False
    return True


def _seal(until: str, chance: str, instance_id: str) -> str:
    return salted_hmac("hosts.nonces", f"{until}.{chance}.{instance_id}", algorithm="sha256").hexdigest()


def _forget() -> None:
    # A minute later than must be, in case the clocks of web processes differ.
    SpentNonce.objects.filter(expires_at__lt=timezone.now() - timedelta(minutes=1)).delete()
