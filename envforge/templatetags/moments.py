"""Times in pages: relative within a day, else the date; exact on hover and for programs. Lengths of time with their units."""

from datetime import date, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html

register = template.Library()

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


@register.filter
def moment(at: datetime) -> str:
    """The moment as a `<time>` element: `2 min ago`, or `3 Nov 2026`."""
    exact = at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, _words(at))


@register.filter
def day(on: date) -> str:
    """The day in words: `Today`, `Yesterday`, or `Tuesday, 3 Nov 2026`; days begin at midnight UTC."""
    ago = (timezone.now().date() - on).days
    return {0: "Today", 1: "Yesterday"}.get(ago, f"{on:%A}, {on.day} {on:%b %Y}")


@register.filter
def thousands(number: int) -> str:
    """The number with its thousands apart: `1,204`."""
    return f"{number:,}"


def _words(at: datetime) -> str:
    age = timezone.now() - at
    seconds = int(age.total_seconds())
    if age >= timedelta(days=1):
        return f"{at.day} {at:%b %Y}"
    if seconds < MINUTE_S:
        return "just now"
    if seconds < HOUR_S:
        return f"{seconds // MINUTE_S} min ago"
    return f"{seconds // HOUR_S} h ago"


@register.filter
def ahead(at: datetime) -> str:
    """A coming moment as a `<time>` element: `in 18 min`, or `on 3 Nov 2026`."""
    exact = at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, _coming(at))


@register.filter
def left(at: datetime) -> str:
    """How long it is until a coming moment, as a `<time>` element: `18 min`, or `less than a minute`."""
    seconds = int((at - timezone.now()).total_seconds())
    words = duration(seconds) if seconds >= MINUTE_S else "less than a minute"
    exact = at.strftime("%Y-%m-%d %H:%M:%S UTC")
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, words)


@register.filter
def duration(seconds: int) -> str:
    """A length of time: `14 h 12 min`, `37 min`, `41 s`."""
    minutes, rest = divmod(int(seconds), MINUTE_S)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min" if minutes else f"{hours:,} h"
    return f"{minutes} min" if minutes else f"{rest} s"


def _coming(at: datetime) -> str:
    seconds = int((at - timezone.now()).total_seconds())
    if seconds >= DAY_S:
        return f"on {at.day} {at:%b %Y}"
    return f"in {duration(seconds)}" if seconds >= MINUTE_S else "within a minute"
