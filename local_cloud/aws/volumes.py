"""EC2's rules about volumes that moto leaves out, and which volumes for data there are.

Source: the EC2 API reference of AttachVolume.
"""

from typing import Any

from local_cloud.aws import world
from local_cloud.aws.wire import RefusedError
from local_cloud.aws.world import Call

# Of those that EnvForge makes for managed data; a VM's own root disk carries none.
DATA_TAG = "envforge:volume"
_TAKES = {"running", "stopped"}


def require_attachable(call: Call) -> None:
    """Raises RefusedError: the volume is attached, the device taken, the instance elsewhere or on its way."""
    if call.action != "AttachVolume":
        return
    model = world.backend("ec2", call.region)
    volume = model.volumes.get(call.params.get("VolumeId", ""))
    found = [one for one in world.instances(call.region) if one.id == call.params.get("InstanceId")]
    if volume is None or not found:
        return  # moto says so in EC2's words
    [instance] = found
    if volume.attachment is not None:
        raise RefusedError(f"{volume.id} is already attached to an instance", code="VolumeInUse")
    if str(volume.zone.name) != str(instance.placement.zone):
        raise RefusedError(
            f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
            code="InvalidVolume.ZoneMismatch",
        )
    if instance.state not in _TAKES:
        raise RefusedError(f"Instance '{instance.id}' is not 'running'.", code="IncorrectState")
    if call.params.get("Device") in instance.block_device_mapping:
        raise RefusedError("Invalid value for unixDevice: already in use", code="InvalidParameterValue")


def attached(region: str, instance_id: str) -> list[str]:
    """The volumes for data that are attached to an instance."""
    return [
        volume.id
        for volume in _for_data(region)
        if volume.attachment is not None and volume.attachment.instance.id == instance_id
    ]


def existing() -> list[str]:
    """The volumes for data of all regions."""
    return [volume.id for region in world.regions("ec2") for volume in _for_data(region)]


def _for_data(region: str) -> list[Any]:
    model = world.backend("ec2", region)
    return [one for one in model.volumes.values() if DATA_TAG in model.tags.get(one.id, {})]
