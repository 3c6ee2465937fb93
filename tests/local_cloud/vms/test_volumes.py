"""Volumes as directories that move with attachment, and EC2's rules about attaching."""

from pathlib import Path
from typing import Any

from local_cloud.vms.volumes import OFF, Volumes
from tests.aws.conftest import refusal
from tests.local_cloud.vms.conftest import Cloud
from tests.vms import eventually

TAGS = [{"ResourceType": "volume", "Tags": [{"Key": "envforge:volume", "Value": "one"}]}]


def test_what_is_on_a_volume_goes_where_it_is_attached(tmp_path: Path) -> None:
    volumes = Volumes(tmp_path)
    volumes.arrange("i-1", ["vol-1"])
    (volumes.of("i-1") / "vol-1" / "data").write_text("kept")
    volumes.arrange("i-1", [])
    assert list(volumes.of("i-1").iterdir()) == []
    volumes.arrange("i-2", ["vol-1"])
    assert (volumes.of("i-2") / "vol-1" / "data").read_text() == "kept"
    volumes.forget("i-2")
    volumes.keep_only(["vol-1"])
    assert (tmp_path / OFF / "vol-1" / "data").read_text() == "kept"
    volumes.keep_only([])
    assert list((tmp_path / OFF).iterdir()) == []


def test_a_vm_sees_a_volume_while_it_is_attached_and_the_next_one_what_it_left(cloud: Cloud) -> None:
    one, other = cloud.launch(), cloud.launch()
    zone = cloud.described(one)["Placement"]["AvailabilityZone"]
    ec2 = cloud.ec2
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1, TagSpecifications=TAGS)["VolumeId"]
    places = {name: cloud.vms.directory / "volumes" / name / volume for name in (one, other)}

    def attach(instance: str, **more: Any) -> None:
        ec2.attach_volume(**{"VolumeId": volume, "InstanceId": instance, "Device": "/dev/sdf"} | more)

    cloud.vms.wait_on(one)
    attach(one)
    eventually(places[one].is_dir, "it was not attached")
    (places[one] / "data").write_text("kept")
    assert refusal(lambda: attach(other)) == "VolumeInUse"
    second = ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    assert refusal(lambda: attach(one, VolumeId=second)) == "InvalidParameterValue", "the device is taken"
    elsewhere = ec2.create_volume(AvailabilityZone=zone[:-1] + ("b" if zone[-1] == "a" else "a"), Size=1)
    assert refusal(lambda: attach(one, VolumeId=elsewhere["VolumeId"])) == "InvalidVolume.ZoneMismatch"
    ec2.terminate_instances(InstanceIds=[one])
    eventually(lambda: not places[one].exists(), "it stayed with what was ended")
    cloud.vms.wait_on(other)
    attach(other)
    eventually((places[other] / "data").exists, "what was on it is gone")
    ec2.detach_volume(VolumeId=volume)
    ec2.delete_volume(VolumeId=volume)
    eventually(
        lambda: not list((cloud.vms.directory / "volumes").glob(f"*/{volume}")),
        "what was deleted is still there",
    )
    ec2.terminate_instances(InstanceIds=[other])
