"""What pages say of a workspace's states and causes, with the colours they have (see the design tokens)."""

from workspaces.causes import SleepCause, WakeCause
from workspaces.states import ShellNow, State

STATES = {
    State.AWAKE: ("awake", "awake"),
    State.WAKING: ("on its way", "waking"),
    State.FALLING_ASLEEP: ("falling asleep", "waking"),
    State.ASLEEP: ("asleep", "asleep"),
    State.FAILED: ("could not wake", "danger"),
    State.ARCHIVED: ("archived", ""),
    State.DELETING: ("being deleted", "waking"),
    State.DELETED: ("deleted", ""),
}
SHELLS = {
    ShellNow.READY: ("ready", "awake"),
    ShellNow.ON_ITS_WAY: ("on its way", "waking"),
    ShellNow.FAILED: ("not there", "danger"),
    ShellNow.CLOSED: ("closed", ""),
}
HEALTH = {
    "healthy": ("ready", "awake"),
    "starting": ("starting", "waking"),
    "setting_up": ("setting up", "waking"),
    "unhealthy": ("does not answer its check", "danger"),
    "crashed": ("crashed", "danger"),
    "stopped": ("stopped", ""),
}
# Why it is awake, as the page's first sentence.
AWAKE_BECAUSE = {
    WakeCause.CONSOLE: "Somebody asked for it in the console",
    WakeCause.API: "A program asked for it",
    WakeCause.CLI: "Somebody asked for it on the command line",
    WakeCause.DEV_LINK: "A reviewer is using a dev link",
    WakeCause.MEMBER_URL: "A member is using its dev URL",
    WakeCause.COMMAND: "A command was run",
    WakeCause.TEST: "A test was run",
    WakeCause.AGENT: "An agent is at work",
    WakeCause.JOB_LEASE: "A job asked for it to stay awake",
    WakeCause.KEEP_ALIVE: "Its shell asked for it to stay awake",
    WakeCause.RECOVERY: "Its machine was lost, and another one took its place",
}
SHORT_CAUSE = {
    WakeCause.CONSOLE: "console",
    WakeCause.API: "API",
    WakeCause.CLI: "command line",
    WakeCause.DEV_LINK: "dev link",
    WakeCause.MEMBER_URL: "dev URL",
    WakeCause.COMMAND: "command",
    WakeCause.TEST: "test",
    WakeCause.AGENT: "agent",
    WakeCause.JOB_LEASE: "job",
    WakeCause.KEEP_ALIVE: "shell",
    WakeCause.RECOVERY: "recovery",
}
ASLEEP_BECAUSE = {str(cause.value): str(cause.label) for cause in SleepCause}


def because(cause: str) -> str:
    """Why it is awake, in a sentence without its full stop."""
    return AWAKE_BECAUSE[WakeCause(cause)] if cause in WakeCause.values else "Somebody uses it"


def short(cause: str) -> str:
    """A cause in a word or two."""
    return SHORT_CAUSE[WakeCause(cause)] if cause in WakeCause.values else cause
