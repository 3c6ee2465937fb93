"""Where a VM is: a loopback address of its own, which DescribeInstances gives as the instance's private address.

One local cloud has one network 127.N.0.0/16; N is remembered, and claimed while the cloud runs, so that two clouds on
one machine do not meet. An address belongs to one instance for as long as EC2 shows that instance.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from local_cloud.ports import Claim, claim_name

FIRST, LAST = 64, 250
_HOSTS = 0xFFFE


class NoNetworkError(Exception):
    """Every network is claimed by other local clouds."""


class Addresses:
    """Gives instances their addresses. `network` is N, once `open` was called."""

    def __init__(self) -> None:
        self.network = 0
        self.by_instance: dict[str, str] = {}
        self._claim: Claim | None = None

    def open(self, seed: str) -> bool:
        """Claim the remembered network, else one that follows from `seed`; whether every address changed by that.

        Raises NoNetworkError.
        """
        count = LAST - FIRST + 1
        remembered = self.network
        start = remembered or FIRST + _number(seed) % count
        for step in range(count):
            network = FIRST + (start - FIRST + step) % count
            self._claim = claim_name(f"vm-network-{network}")
            if self._claim is not None:
                self.network = network
                self.by_instance = {
                    instance_id: f"127.{network}.{address.split('.', 2)[2]}"
                    for instance_id, address in self.by_instance.items()
                }
                return bool(remembered) and remembered != network
        raise NoNetworkError(
            f"The networks 127.{FIRST}.0.0 to 127.{LAST}.0.0 are all used by other local clouds; stop one."
        )

    def give(self, instance: Any) -> str:
        """The instance's address, the same one every time, written where moto keeps it."""
        address = self.by_instance.get(instance.id)
        if address is None:
            address = self.by_instance[instance.id] = self._free(instance.id)
        interface = instance.nics.get(0)
        if interface is not None:
            interface.private_ip_address = address
            interface.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": address}]
        return address

    def keep_only(self, instance_ids: Iterable[str]) -> None:
        """Give back the addresses of instances that EC2 shows no more."""
        shown = set(instance_ids)
        self.by_instance = {one: address for one, address in self.by_instance.items() if one in shown}

    def _free(self, instance_id: str) -> str:
        taken = set(self.by_instance.values())
        start = _number(instance_id) % _HOSTS
        for step in range(_HOSTS):
            number = 1 + (start + step) % _HOSTS
            address = f"127.{self.network}.{number >> 8}.{number & 0xFF}"
            if address not in taken:
                return address
        raise NoNetworkError(f"All addresses of 127.{self.network}.0.0/16 are given to instances.")


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
