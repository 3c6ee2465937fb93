"""The VM's metadata service, version 2 only (IMDSv2): a session token first, then the role's credentials and the instance's id."""

import json
from dataclasses import dataclass, field

from envforge_daemon.errors import Unreachable
from envforge_daemon.http import Client

TOKEN_FOR_S = 21_600
WITHIN_S = 3.0


@dataclass(frozen=True)
class RoleCredentials:
    """The instance role's, as the metadata service gives them."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)


class Metadata:
    """Asks the one endpoint it is configured with."""

    def __init__(self, client: Client, endpoint: str) -> None:
        self._client = client
        self._endpoint = endpoint.rstrip("/")

    async def _get(self, path: str) -> bytes:
        token = await self._client.request(
            "PUT",
            f"{self._endpoint}/latest/api/token",
            headers={"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_FOR_S)},
            timeout_s=WITHIN_S,
        )
        if token.status != 200:
            raise Unreachable(f"The metadata service gave no session (status {token.status}).")
        answer = await self._client.request(
            "GET",
            f"{self._endpoint}/latest/{path}",
            headers={"X-aws-ec2-metadata-token": token.body.decode()},
            timeout_s=WITHIN_S,
        )
        if answer.status != 200:
            raise Unreachable(
                f"The metadata service has no {path.split('/', maxsplit=1)[0]} (status {answer.status})."
            )
        return answer.body

    async def instance_id(self) -> str:
        """This VM's instance id."""
        return (await self._get("meta-data/instance-id")).decode().strip()

    async def credentials(self) -> RoleCredentials:
        """The role's credentials now; they change by themselves, so they are asked for each time.

        Raises:
            Unreachable: there is no role, or no answer.
        """
        names = (await self._get("meta-data/iam/security-credentials/")).decode().split()
        if not names:
            raise Unreachable("The VM has no role. Its instance profile is missing.")
        try:
            document = json.loads(await self._get(f"meta-data/iam/security-credentials/{names[0]}"))
            return RoleCredentials(document["AccessKeyId"], document["SecretAccessKey"], document["Token"])
        except (ValueError, KeyError):
            raise Unreachable("The metadata service's credentials cannot be read.") from None
