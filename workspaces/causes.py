"""Why a runtime is woken, kept awake and put to sleep: the words of rows, events and pages (W6)."""

from django.db import models


class WakeCause(models.TextChoices):
    """Why a runtime was woken, or kept awake ("why is it awake?", W6)."""

    CONSOLE = "console", "asked for in the console"
    API = "api", "asked for by the API"
    CLI = "cli", "asked for by the CLI"
    DEV_LINK = "dev_link", "a dev link was opened"
    MEMBER_URL = "member_url", "a member opened its dev URL"
    COMMAND = "command", "a command was run"
    TEST = "test", "a test was run"
    AGENT = "agent", "an agent went to work"
    JOB_LEASE = "job_lease", "a job asked for it to stay awake"
    KEEP_ALIVE = "keep_alive", "its shell asked for it to stay awake"
    RECOVERY = "recovery", "its VM was lost, and another one takes its place"


class SleepCause(models.TextChoices):
    """Why a runtime was put to sleep."""

    ASKED = "asked", "somebody asked for it"
    IDLE = "idle", "nobody used it"
    CAP = "cap", "its usage cap was reached"
    ARCHIVED = "archived", "the workspace was archived"
    DELETED = "deleted", "the workspace was deleted"
    HOST_LOST = "host_lost", "its VM was lost"
    SILENT = "silent", "its VM was not heard of"
    FAILED = "failed", "it could not wake"
