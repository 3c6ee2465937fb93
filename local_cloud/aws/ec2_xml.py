"""An instance and its status checks in EC2's XML."""

from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from local_cloud.aws import world

_NOT_GIVEN = "ABCDE"  # what moto notes as client token of a request without one


def tag(name: str, value: Any) -> str:
    """One element; nothing for what is not there."""
    if value is None or value == "":
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"<{name}>{escape(text)}</{name}>"


def instance_xml(region: str, one: Any) -> str:
    """The instance as DescribeInstances and RunInstances give it; one that ended has no address any more."""
    model = world.backend("ec2", region)
    is_gone = one.state == "terminated"
    tags = "".join(
        f"<item>{tag('key', key)}<value>{escape(str(value))}</value></item>"
        for key, value in model.tags.get(one.id, {}).items()
    )
    reason = one.state_reason
    state_reason = (
        f"<stateReason>{tag('code', reason.code)}{tag('message', reason.message)}</stateReason>"
        if reason.code
        else ""
    )
    return (
        f"<item><instanceId>{one.id}</instanceId>{tag('imageId', one.image_id)}"
        f"<instanceState><code>{one.state_code}</code><name>{one.state}</name></instanceState>"
        + ("" if is_gone else _address(one))
        + tag("reason", one.state_transition_reason)
        + tag("keyName", one.key_name)
        + f"<amiLaunchIndex>{one.ami_launch_index}</amiLaunchIndex><productCodes/>"
        f"<instanceType>{escape(one.instance_type)}</instanceType>"
        f"<launchTime>{_time(one.launch_time)}</launchTime>"
        f"<placement>{tag('availabilityZone', one.placement.zone)}<groupName/><tenancy>default</tenancy></placement>"
        f"<monitoring><state>{one.monitoring_state}</state></monitoring>"
        + ("" if is_gone else f"{tag('subnetId', one.subnet_id)}{tag('vpcId', one.vpc_id)}")
        + state_reason
        + f"<architecture>{one.architecture}</architecture><rootDeviceType>ebs</rootDeviceType>"
        f"{tag('rootDeviceName', one.root_device_name)}<blockDeviceMapping>{_devices(one)}</blockDeviceMapping>"
        + tag("virtualizationType", one.virtualization_type)
        + tag("instanceLifecycle", one.lifecycle)
        + tag("clientToken", "" if one.client_token == _NOT_GIVEN else one.client_token)
        + f"<tagSet>{tags}</tagSet><groupSet>{_groups(one)}</groupSet>"
        + tag("sourceDestCheck", one.source_dest_check)
        + f"<hypervisor>xen</hypervisor><networkInterfaceSet>{'' if is_gone else _interfaces(one)}</networkInterfaceSet>"
        + tag("ebsOptimized", one.ebs_optimized)
        + _profile(model, one)
        + _metadata_options(one.metadata_options)
        + "</item>"
    )


def status_xml(one: Any, *, impaired: bool) -> str:
    """The instance as DescribeInstanceStatus gives it; checks are made of running instances alone."""
    return (
        f"<item><instanceId>{one.id}</instanceId>{tag('availabilityZone', one.placement.zone)}"
        f"<instanceState><code>{one.state_code}</code><name>{one.state}</name></instanceState>"
        f"{_check('systemStatus', one, impaired=False)}{_check('instanceStatus', one, impaired=impaired)}</item>"
    )


def _check(name: str, one: Any, *, impaired: bool) -> str:
    if one.state != "running":
        return f"<{name}><status>not-applicable</status></{name}>"
    status, reachability = ("impaired", "failed") if impaired else ("ok", "passed")
    return (
        f"<{name}><status>{status}</status><details><item><name>reachability</name>"
        f"<status>{reachability}</status></item></details></{name}>"
    )


def _address(one: Any) -> str:
    return f"{tag('privateDnsName', one.private_dns_name)}{tag('privateIpAddress', one.private_ip)}"


def _devices(one: Any) -> str:
    return "".join(
        f"<item><deviceName>{escape(name)}</deviceName><ebs>{tag('volumeId', block.volume_id)}"
        f"<status>attached</status>{tag('attachTime', _time(block.attach_time))}"
        f"{tag('deleteOnTermination', bool(block.delete_on_termination))}</ebs></item>"
        for name, block in one.block_device_mapping.items()
    )


def _groups(one: Any) -> str:
    groups = one.security_groups or (one.nics[0].group_set if 0 in one.nics else [])
    return "".join(
        f"<item><groupId>{group.id}</groupId>{tag('groupName', group.name)}</item>" for group in groups
    )


def _interfaces(one: Any) -> str:
    return "".join(
        f"<item><networkInterfaceId>{nic.id}</networkInterfaceId>{tag('subnetId', nic.subnet.id)}"
        f"{tag('vpcId', nic.subnet.vpc_id)}{tag('description', nic.description)}<ownerId>{world.ACCOUNT_ID}</ownerId>"
        f"<status>in-use</status>{tag('macAddress', nic.mac_address)}{tag('privateIpAddress', nic.private_ip_address)}"
        f"<groupSet>{_groups(one)}</groupSet><attachment>{tag('attachmentId', nic.attachment_id)}"
        f"<deviceIndex>{index}</deviceIndex><status>attached</status>"
        f"{tag('deleteOnTermination', bool(nic.delete_on_termination))}</attachment></item>"
        for index, nic in one.nics.items()
    )


def _profile(model: Any, one: Any) -> str:
    association = model.iam_instance_profile_associations.get(one.id)
    if association is None:
        return ""
    profile = association.iam_instance_profile
    return f"<iamInstanceProfile>{tag('arn', profile.arn)}{tag('id', profile.id)}</iamInstanceProfile>"


def _metadata_options(options: Any) -> str:
    return (
        f"<metadataOptions>{tag('state', options.state)}{tag('httpTokens', options.http_tokens)}"
        f"{tag('httpPutResponseHopLimit', options.http_put_response_hop_limit)}"
        f"{tag('httpEndpoint', options.http_endpoint)}{tag('httpProtocolIpv6', options.http_protocol_ipv6)}"
        f"{tag('instanceMetadataTags', options.instance_metadata_tags)}</metadataOptions>"
    )


def _time(moment: Any) -> str:
    if not isinstance(moment, datetime):
        return str(moment)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
