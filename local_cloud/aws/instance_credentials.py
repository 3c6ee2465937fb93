"""The VM simulator's way to an instance's role credentials; on AWS the metadata service has them by itself."""

import json

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from local_cloud.aws.identities import AccessKey

PATH = "/_local/instance-credentials"


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
    """
    body = json.dumps({"RoleName": role_name, "InstanceId": instance_id})
    request = AWSRequest("POST", endpoint_url.rstrip("/") + PATH, {"Content-Type": "application/json"}, body)
    root = Credentials(root_credentials.access_key_id, root_credentials.secret_access_key)
    SigV4Auth(root, "sts", region).add_auth(request)
    answer = URLLib3Session(timeout=10).send(request.prepare())
    if answer.status_code != 200:
        raise InstanceCredentialsRefusedError(f"{answer.status_code}: {answer.text}")
    minted: dict[str, str] = json.loads(answer.content)
    return minted
