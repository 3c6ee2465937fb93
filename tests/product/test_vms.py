"""The `vms` fixture: VMs beside the endpoint the product uses, for whom a test names."""

import boto3
from django.conf import settings

from tests.vms import Vms, eventually

LAUNCH = {"ImageId": "ami-12345678", "MinCount": 1, "MaxCount": 1}


def test_only_who_is_named_gets_a_vm(vms: Vms) -> None:
    key = vms.client.root_key
    ec2 = boto3.client(
        "ec2",
        endpoint_url=settings.AWS_ENDPOINT_URL,
        region_name=settings.AWS_REGION,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
    )

    def launch(org: str) -> str:
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "envforge:org", "Value": org}]}]
        made = ec2.run_instances(**LAUNCH, TagSpecifications=tags)  # type: ignore[arg-type]
        return str(made["Instances"][0]["InstanceId"])

    vms.include("a-fixture-organization")
    named, other = launch("a-fixture-organization"), launch("another-organization")
    vms.wait_on(named)
    # It has no user data, and says so.
    eventually(lambda: "no user data" in vms.console(named), vms.console(named))
    assert not (vms.state / other).exists()
    ec2.terminate_instances(InstanceIds=[named, other])
    vms.wait_off(named)
