"""What goes wrong on a VM, in words."""

from envforge_protocol.host.base import Problem


class DaemonError(Exception):
    """Base of the program's own errors; its text is for people, with what to do next, and holds no value."""


class ConfigError(DaemonError):
    """The configuration cannot be used."""


class IsolationError(DaemonError):
    """A wall could not be built, or was found not to hold."""


class Unreachable(DaemonError):
    """A server gave no answer, or one that says to try again later."""


class Refused(DaemonError):
    """The control plane answered and refused; `status` is its HTTP status, `problem` what it said, where it is one of ours."""

    def __init__(self, status: int, sentence: str, *, problem: Problem | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.problem = problem


class CommandFailed(DaemonError):
    """A command cannot be done: `word` for programs, the text for people. `again`: trying once more may help."""

    def __init__(self, word: str, sentence: str, *, again: bool = False) -> None:
        super().__init__(sentence)
        self.word = word
        self.again = again
