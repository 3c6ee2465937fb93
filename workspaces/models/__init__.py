"""Workspaces and everything that belongs to one."""

from workspaces.cap_modes import CapMode
from workspaces.causes import SleepCause, WakeCause
from workspaces.models.commands import CommandOutput, CommandRun, CommandType
from workspaces.models.meters import Cap, MeterWindow
from workspaces.models.news import HostNews
from workspaces.models.places import Account, Checkout, Presence, Shell, ShellState, Workspace
from workspaces.models.runtimes import (
    JobLease,
    Observed,
    Power,
    RunningService,
    Runtime,
    Wake,
)
from workspaces.models.shells import Certificate, CertificateAuthority, ShellSession

__all__ = [
    "Account",
    "Cap",
    "CapMode",
    "Certificate",
    "CertificateAuthority",
    "Checkout",
    "CommandOutput",
    "CommandRun",
    "CommandType",
    "HostNews",
    "JobLease",
    "MeterWindow",
    "Observed",
    "Power",
    "Presence",
    "RunningService",
    "Runtime",
    "Shell",
    "ShellSession",
    "ShellState",
    "SleepCause",
    "Wake",
    "WakeCause",
    "Workspace",
]
