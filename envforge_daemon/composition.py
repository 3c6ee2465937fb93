"""Which parts the program has."""

from envforge_daemon.parts import Part
from envforge_daemon.removing import Removing
from envforge_daemon.services.part import Services
from envforge_daemon.shell.part import Shells

PARTS: tuple[type[Part], ...] = (Removing, Services, Shells)
