"""What apps above do when a project closes: a registry, filled from `AppConfig.ready` (W12)."""

from typing import Protocol

from envforge.actor import Actor
from projects.models import Project


class Listener(Protocol):
    """Called for a locked project, in the transaction that archives it; who archives it may do that to all that is in it."""

    def __call__(self, *, actor: Actor, project: Project) -> None: ...


_listeners: list[Listener] = []


def on_project_archived(listener: Listener) -> None:
    """Register what lets go of what lies in an archived project."""
    _listeners.append(listener)


def tell_archived(actor: Actor, project: Project) -> None:
    """Tell every listener, in the caller's transaction."""
    for listener in _listeners:
        listener(actor=actor, project=project)
