"""Words with names of files, fields and commands in them, as `envforge_protocol` writes them: between backticks."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.filter
def typed(words: str) -> SafeString:
    """The words with what stands between backticks as code; all of it escaped."""
    pieces = words.split("`")
    if len(pieces) % 2 == 0:
        return format_html("{}", words)
    shown = [
        format_html("<code>{}</code>" if number % 2 else "{}", piece) for number, piece in enumerate(pieces)
    ]
    return mark_safe("".join(shown))  # noqa: S308 - each piece is escaped
