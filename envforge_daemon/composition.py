"""Which parts the program has."""

from envforge_daemon.parts import Part
from envforge_daemon.removing import Removing

PARTS: tuple[type[Part], ...] = (Removing,)
