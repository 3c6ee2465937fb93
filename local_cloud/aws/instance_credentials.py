"""The VM simulator's way to an instance's role credentials; on AWS the metadata service has them by itself."""

from local_cloud.aws.control_client import PREFIX, ControlRefusedError, post
from local_cloud.aws.identities import AccessKey

PATH = f"{PREFIX}instance-credentials"


class InstanceCredentialsRefusedError(Exception):
    """The endpoint would not mint them; the message is its reason."""


def mint(
    endpoint_url: str, root_credentials: AccessKey, region: str, *, role_name: str, instance_id: str
) -> dict[str, str]:
    """Credentials for six hours, in the metadata service's format (AccessKeyId, SecretAccessKey, Token, Expiration).

    GetCallerIdentity on them answers `arn:aws:sts::ACCOUNT:assumed-role/ROLE/INSTANCE`.

    Raises:
        InstanceCredentialsRefusedError: the instance does not run with a profile that carries the role, or the role
            does not trust EC2.
        control_client.EndpointGoneError: there is no answer.
    """
    body = {"RoleName": role_name, "InstanceId": instance_id}
    try:
        return post(endpoint_url, root_credentials, region, PATH, body)
    except ControlRefusedError as error:
        raise InstanceCredentialsRefusedError(str(error)) from error
