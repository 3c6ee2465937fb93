"""What can come of asking EC2 or EFS for something: the answers that have a next step, as errors of ours.

All are expected. None carries a vendor's text.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from envforge import aws


class VendorError(Exception):
    """Something other than what was asked for; `trouble` is the word for it in `hosts.words`."""

    trouble: ClassVar[str] = "refused"

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Throttled(VendorError):
    """Asked too often; nothing was done, and later it will be."""

    trouble = "throttled"


class InsufficientCapacity(VendorError):
    """There is no such machine to be had in this zone now; nothing was done."""

    trouble = "capacity"


class LimitReached(VendorError):
    """The account may have no more of these; nothing was done."""

    trouble = "limit"


class Vanished(VendorError):
    """What was named does not exist, or not any more."""


class OutcomeUnknown(VendorError):
    """No usable answer came: it may have been done or not."""

    trouble = "unanswered"


class Refused(VendorError):
    """Anything else: asking the same again will bring the same."""


_CODES: dict[str, type[VendorError]] = {
    "RequestLimitExceeded": Throttled,
    "Throttling": Throttled,
    "ThrottlingException": Throttled,
    "ThrottledException": Throttled,
    "RequestThrottled": Throttled,
    "TooManyRequestsException": Throttled,
    "ResourceCountExceeded": Throttled,
    "InsufficientInstanceCapacity": InsufficientCapacity,
    "InsufficientHostCapacity": InsufficientCapacity,
    "InsufficientCapacity": InsufficientCapacity,
    # The type is not offered in this zone.
    "Unsupported": InsufficientCapacity,
    "InsufficientFreeAddressesInSubnet": InsufficientCapacity,
    "InstanceLimitExceeded": LimitReached,
    "VcpuLimitExceeded": LimitReached,
    "AttachmentLimitExceeded": LimitReached,
    "VolumeLimitExceeded": LimitReached,
    "FileSystemLimitExceeded": LimitReached,
    "NetworkInterfaceLimitExceeded": LimitReached,
    "SecurityGroupLimitExceeded": LimitReached,
    "NoFreeAddressesInSubnet": InsufficientCapacity,
    "MaxIOPSLimitExceeded": LimitReached,
    "InsufficientVolumeCapacity": InsufficientCapacity,
    "InvalidInstanceID.NotFound": Vanished,
    "InvalidInstanceID.Malformed": Vanished,
    "InvalidGroup.NotFound": Vanished,
    "InvalidGroupId.Malformed": Vanished,
    "FileSystemNotFound": Vanished,
    "InvalidVolume.NotFound": Vanished,
    "InternalError": OutcomeUnknown,
    "InternalFailure": OutcomeUnknown,
    "InternalServerError": OutcomeUnknown,
    "ServiceUnavailable": OutcomeUnknown,
    "Unavailable": OutcomeUnknown,
    "RequestTimeout": OutcomeUnknown,
    "": OutcomeUnknown,
}


def ask(operation: Callable[..., Any], **parameters: Any) -> Any:
    """Call an operation of a client of AWS.

    Raises:
        VendorError: one of the above.
    """
    try:
        return aws.ask(operation, **parameters)
    except aws.Refused as refused:
        kind, code = _CODES.get(refused.code, Refused), refused.code or str(refused)
    raise kind(code)
