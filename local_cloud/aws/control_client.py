"""A caller of the endpoint's control door, `control`."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from local_cloud.aws.identities import AccessKey

PREFIX = "/_local/"


class ControlRefusedError(Exception):
    """The endpoint refused; the message is its reason."""


class EndpointGoneError(Exception):
    """No answer came: the endpoint does not run, or a fault cut the connection."""


def post(endpoint_url: str, root_key: AccessKey, region: str, path: str, document: Any) -> dict[str, Any]:
    """Send a JSON document, signed by the account's root.

    Raises:
        ControlRefusedError: the door says no.
        EndpointGoneError: there is no answer.
    """
    headers = {"Content-Type": "application/json"}
    request = AWSRequest("POST", endpoint_url.rstrip("/") + path, headers, json.dumps(document))
    root = Credentials(root_key.access_key_id, root_key.secret_access_key)
    SigV4Auth(root, "sts", region).add_auth(request)
    try:
        answer = URLLib3Session(timeout=10, proxies={}).send(request.prepare())
    except BotoCoreError as error:
        raise EndpointGoneError(f"The AWS endpoint at {endpoint_url} does not answer.") from error
    if answer.status_code != 200:
        raise ControlRefusedError(f"{answer.status_code}: {_reason(answer.text)}")
    found: dict[str, Any] = json.loads(answer.content)
    return found


def _reason(text: str) -> str:
    _, _, rest = text.partition("<Message>")
    return rest.partition("</Message>")[0] or text


@dataclass(frozen=True)
class ControlClient:
    """The control door of one endpoint. Every method raises ControlRefusedError and EndpointGoneError."""

    endpoint_url: str
    root_key: AccessKey
    region: str

    def add_fault(self, kind: str, **conditions: Any) -> str:
        """Switch a fault on: `kind` and conditions as in `faults.read`; returns its id."""
        return str(self._post("faults/add", {"kind": kind, **conditions})["id"])

    def faults(self) -> list[dict[str, Any]]:
        """The faults that wait."""
        return list(self._post("faults/list", {})["faults"])

    def clear_faults(self, fault_id: str | None = None) -> int:
        """Switch one fault off, or all; how many that were."""
        return int(self._post("faults/clear", {} if fault_id is None else {"id": fault_id})["removed"])

    def instances(self, since: int | None = None) -> tuple[int, list[dict[str, Any]] | None]:
        """The revision and all instances, or None when nothing changed since that revision."""
        found = self.listing(since)
        return int(found["revision"]), found.get("instances")

    def listing(self, since: int | None = None) -> dict[str, Any]:
        """`revision`; and where something changed since that one `instances`, and `volumes` for data, by their ids."""
        return self._post("instances/list", {"since": since})

    def act(self, act: str, instance_id: str) -> dict[str, Any]:
        """Do one of `control.ACTS` to an instance."""
        return self._post("instances/act", {"act": act, "instance": instance_id})

    def keep_console(self, instance_id: str, output: bytes) -> None:
        """What GetConsoleOutput is to answer."""
        document = {"instance": instance_id, "output": base64.b64encode(output).decode()}
        self._post("instances/console", document)

    def _post(self, door: str, document: dict[str, Any]) -> dict[str, Any]:
        return post(self.endpoint_url, self.root_key, self.region, PREFIX + door, document)
