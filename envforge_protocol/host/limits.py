"""What is said in the same way of services and of the resources beside them."""

from enum import StrEnum

from envforge_protocol.host.base import Message


class Limits(Message):
    """What the processes of a service or resource may take together."""

    memory_mib: int
    cpu_millis: int
    processes: int = 512


class Health(StrEnum):
    """The state of a service or resource as its VM sees it."""

    SETTING_UP = "setting_up"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    CRASHED = "crashed"
    STOPPED = "stopped"
