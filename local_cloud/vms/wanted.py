"""What the AWS endpoint wants to run: its instances, as its control door lists them."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from local_cloud.aws.world import ACCOUNT_ID

ON = frozenset({"pending", "running"})
GONE = frozenset({"shutting-down", "terminated"})


@dataclass(frozen=True)
class Instance:
    """One instance. `user_data` is in base64; `address` is the loopback address of its VM."""

    instance_id: str
    region: str
    zone: str
    state: str
    address: str
    instance_type: str
    image_id: str
    launched_at: str
    profile_arn: str | None
    roles: tuple[str, ...]
    metadata_endpoint: bool
    user_data: str
    tags: dict[str, str]
    impaired: bool
    boots: int
    volumes: tuple[str, ...] = ()

    @property
    def is_wanted_on(self) -> bool:
        return self.state in ON

    @property
    def is_gone(self) -> bool:
        return self.state in GONE

    @property
    def hostname(self) -> str:
        return f"ip-{self.address.replace('.', '-')}.{self.region}.compute.internal"

    def user_data_bytes(self) -> bytes:
        """The user data as its author wrote it; empty where there is none that can be read."""
        try:
            return base64.b64decode(self.user_data, validate=True)
        except (ValueError, binascii.Error):
            return b""

    def identity_document(self) -> dict[str, Any]:
        """The instance identity document; its signature is not simulated."""
        return {
            "accountId": ACCOUNT_ID,
            "architecture": "x86_64",
            "availabilityZone": self.zone,
            "billingProducts": None,
            "devpayProductCodes": None,
            "imageId": self.image_id,
            "instanceId": self.instance_id,
            "instanceType": self.instance_type,
            "kernelId": None,
            "marketplaceProductCodes": None,
            "pendingTime": self.launched_at,
            "privateIp": self.address,
            "ramdiskId": None,
            "region": self.region,
            "version": "2017-09-30",
        }


def read(listed: list[dict[str, Any]]) -> dict[str, Instance]:
    """The instances of a listing, by id."""
    return {
        one["instance_id"]: Instance(**one | {name: tuple(one[name]) for name in ("roles", "volumes")})
        for one in listed
    }
