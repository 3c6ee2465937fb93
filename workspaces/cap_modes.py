"""What happens at a usage cap: the words of rows, events and pages (W8)."""

from django.db import models


class CapMode(models.TextChoices):
    """What happens at the cap: nothing; a word at 80 %; no more wakes, and sleep at the next idle minute."""

    NONE = "none"
    WARN = "warn"
    STOP = "stop"
