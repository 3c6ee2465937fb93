"""What people choose VMs and rooms on them by; models and doorways both name these."""

from django.db import models


class HostRole(models.TextChoices):
    """A shell VM is the always-on baseline, a runtime VM runs services while they are awake (W5)."""

    SHELL = "shell"
    RUNTIME = "runtime"


class Size(models.TextChoices):
    """The sizes people choose from (W8); settings say how much of a VM each is."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
