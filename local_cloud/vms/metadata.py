"""Each VM's instance metadata service, version 2 alone (IMDSv2), on the VM's own address.

A token is asked for by PUT and shown with every GET; without one the answer is 401. Tokens are signed, not stored, so that
they outlive a restart of the simulator. The hop limit is not simulated: loopback has no hops. Source: "Use the Instance Metadata
Service to access instance metadata" in the EC2 user guide.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from local_cloud.aws.control_client import EndpointGoneError
from local_cloud.aws.instance_credentials import InstanceCredentialsRefusedError
from local_cloud.vms.wanted import Instance

PORT = 1338
TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105 - the header's name
LONGEST_TTL_S = 21600

Credentials = Callable[[Instance, str], Awaitable[dict[str, str]]]


@dataclass
class Subject:
    """The instance a service speaks of, as EC2 has it now, and the key of its tokens."""

    instance: Instance
    token_key: str


class MetadataService:
    """The service of one VM, up between `start` and `stop`."""

    def __init__(self, subject: Subject, credentials: Credentials) -> None:
        self.subject = subject
        self._credentials = credentials
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on the instance's address. Raises OSError."""
        application = web.Application(client_max_size=4096)
        application.router.add_put("/latest/api/token", self._token)
        application.router.add_get("/latest/{path:.*}", self._get)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.subject.instance.address, PORT, reuse_address=True).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner

    async def stop(self) -> None:
        """Be gone, like the VM."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _token(self, request: web.Request) -> web.Response:
        if "X-Forwarded-For" in request.headers:
            return web.Response(status=403)
        wanted = request.headers.get(TTL_HEADER, "")
        if not (wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= LONGEST_TTL_S):
            return web.Response(status=400)
        expires = str(int(time.time()) + int(wanted)).encode()
        token = base64.urlsafe_b64encode(expires + b"." + self._signature(expires)).decode()
        return web.Response(text=token, headers={TTL_HEADER: wanted})

    def _signature(self, expires: bytes) -> bytes:
        said = self.subject.instance.instance_id.encode() + b" " + expires
        return hmac.new(self.subject.token_key.encode(), said, hashlib.sha256).digest()

    def _is_valid(self, token: str) -> bool:
        try:
            expires, _, signature = base64.urlsafe_b64decode(token.encode()).partition(b".")
            return hmac.compare_digest(signature, self._signature(expires)) and int(expires) > time.time()
        except ValueError:
            return False

    async def _get(self, request: web.Request) -> web.Response:
        if not self._is_valid(request.headers.get(TOKEN_HEADER, "")):
            return web.Response(status=401)
        path = request.match_info["path"]
        role = path.removeprefix("meta-data/iam/security-credentials/")
        if role != path and role:
            return await self._role_credentials(role)
        if path == "user-data":
            data = self.subject.instance.user_data_bytes()
            return web.Response(body=data) if data else web.Response(status=404)
        text = self._texts().get(path.rstrip("/"))
        return web.Response(status=404) if text is None else web.Response(text=text)

    async def _role_credentials(self, role: str) -> web.Response:
        if role not in self.subject.instance.roles:
            return web.Response(status=404)
        try:
            found = await self._credentials(self.subject.instance, role)
        except InstanceCredentialsRefusedError:
            return web.Response(status=404)
        except EndpointGoneError:
            return web.Response(status=500)
        return web.json_response(found, headers={"Cache-Control": "no-store"})

    def _texts(self) -> dict[str, str]:
        """Every path below /latest that holds text; a path others begin with lists them."""
        one = self.subject.instance
        leaves = {
            "meta-data/ami-id": one.image_id,
            "meta-data/hostname": one.hostname,
            "meta-data/instance-id": one.instance_id,
            "meta-data/instance-type": one.instance_type,
            "meta-data/local-hostname": one.hostname,
            "meta-data/local-ipv4": one.address,
            "meta-data/placement/availability-zone": one.zone,
            "meta-data/placement/region": one.region,
            "meta-data/services/domain": "amazonaws.com",
            "dynamic/instance-identity/document": json.dumps(one.identity_document(), indent=2),
        }
        if one.roles:
            leaves["meta-data/iam/info"] = json.dumps(
                {"Code": "Success", "InstanceProfileArn": one.profile_arn}
            )
            leaves["meta-data/iam/security-credentials"] = "\n".join(one.roles)
        lists: dict[str, set[str]] = {}
        for leaf in leaves:
            parts = leaf.split("/")
            for depth in range(1, len(parts)):
                suffix = "/" if depth + 1 < len(parts) else ""
                lists.setdefault("/".join(parts[:depth]), set()).add(parts[depth] + suffix)
        return {path: "\n".join(sorted(names)) for path, names in lists.items()} | leaves
