"""What time does to links, codes, gateways and purges, as SYSTEM; safe to run twice, at any time, in two workers."""

from datetime import timedelta

from django.utils import timezone

from devlinks import ending, gateways, settling

# A spent code is kept a little, for whoever asks why it was refused.
CODES_KEPT = timedelta(hours=1)


def sweep() -> None:
    """What is due every few seconds: links that expired, purges that every gateway has applied."""
    now = timezone.now()
    ending.record_expired(now)
    settling.settle(now)


def tidy() -> None:
    """What is due every now and then."""
    now = timezone.now()
    ending.forget_codes(now - CODES_KEPT)
    settling.forget_old(now)
    gateways.forget_old(now)
