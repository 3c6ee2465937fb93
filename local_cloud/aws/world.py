"""The layer's door into moto's memory and applications; nothing else here knows moto's inside."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from flask import Flask
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.exceptions import InvalidInstanceIdError
from moto.ec2.models import EC2Backend
from moto.moto_server.werkzeug_app import create_backend_app

from local_cloud.aws.wire import AwsAnswer, AwsRequest

ACCOUNT_ID: str = DEFAULT_ACCOUNT_ID
SERVICES = ("ec2", "efs", "iam", "kms", "s3", "sqs", "ssm")
"""What moto answers, by moto's names; STS is answered by this package."""

MOTO_NAMES = {"elasticfilesystem": "efs"}
"""Services that moto calls otherwise than their credential scope does."""

_GLOBAL_SERVICES = {"iam", "s3"}
_WITH_PATHS = {"elasticfilesystem", "s3"}
_TARGET_PREFIXES = {"kms": "TrentService", "sqs": "AmazonSQS", "ssm": "AmazonSSM"}
_apps: dict[str, Flask] = {}


def backend(service: str, region: str = "") -> Any:
    """moto's live model of one service; a region is created when first asked for, as in moto."""
    known: Any = get_backend(service)  # type: ignore[call-overload]
    return known[ACCOUNT_ID]["aws" if service in _GLOBAL_SERVICES else region]


def regions(service: str) -> list[str]:
    """The regions that hold a model of this service so far."""
    known: Any = get_backend(service)  # type: ignore[call-overload]
    return list(known[ACCOUNT_ID])


def instances(region: str) -> Iterator[Any]:
    """moto's instances of a region in the order they were launched, without the copies moto makes of them."""
    for reservation in backend("ec2", region).reservations.values():
        yield from reservation.instances


def _find_instance(model: Any, instance_id: str) -> Any:
    for reservation in model.reservations.values():
        for instance in reservation.instances:
            if instance.id == instance_id:
                return instance
    raise InvalidInstanceIdError(instance_id)


# moto copies every reservation for each look at one instance, which makes a large fleet's every start take seconds.
EC2Backend.get_instance = _find_instance  # type: ignore[method-assign, assignment]


def every_instance() -> Iterator[tuple[str, Any]]:
    """Region and instance, for all of them."""
    for region in regions("ec2"):
        for instance in instances(region):
            yield region, instance


def parameter_versions(region: str, name: str) -> list[Any]:
    """All stored versions of an SSM parameter, oldest first."""
    parameters = backend("ssm", region)._parameters  # noqa: SLF001 - moto's only place for them
    return list(parameters[name]) if name in parameters else []


def target_prefix(service: str) -> str:
    return _TARGET_PREFIXES[service]


@dataclass(frozen=True)
class Call:
    """A verified request with its action named and its parameters read."""

    service: str
    region: str
    action: str
    params: dict[str, Any]
    request: AwsRequest

    def arn(self, resource: str, *, service: str = "") -> str:
        return f"arn:aws:{service or self.service}:{self.region}:{ACCOUNT_ID}:{resource}"


def ask_moto(call: Call, access_key_id: str) -> AwsAnswer:
    """Let moto answer; it sees only what was verified, never headers that would steer it elsewhere."""
    request = call.request
    path, query = (request.raw_path, request.raw_query) if call.service in _WITH_PATHS else ("/", "")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": _path_info(path),
        "QUERY_STRING": query,
        "RAW_URI": f"{path}?{query}" if query else path,
        "REQUEST_URI": f"{path}?{query}" if query else path,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(request.body)),
    }
    steering = {
        "host",
        "authorization",
        "user-agent",
        "content-length",
        "transfer-encoding",
        "x-moto-account-id",
    }
    for name, value in request.headers.items():
        if name == "content-type":
            environ["CONTENT_TYPE"] = value
        elif name not in steering:
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    host = request.headers.get("host", "")
    # Any other name could make moto find a bucket in it; a queue's URL is built from this one.
    environ["HTTP_HOST"] = host if re.fullmatch(r"127\.0\.0\.1(:\d+)?", host) else "127.0.0.1"
    environ["HTTP_AUTHORIZATION"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key_id}/20000101/{call.region}/{call.service}/aws4_request, "
        "SignedHeaders=host, Signature=checked"
    )
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Any:
        started.append((status, headers))
        return lambda _data: None

    parts = application(MOTO_NAMES.get(call.service, call.service))(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close:
            close()
    status, headers = started[-1]
    return AwsAnswer(int(status.split()[0]), headers, body)


def application(service: str) -> Flask:
    """moto's application for one service, built when first needed."""
    if service not in _apps:
        _apps[service] = create_backend_app(service)  # type: ignore[arg-type]
    return _apps[service]


def _path_info(raw_path: str) -> str:
    return unquote_to_bytes(raw_path).decode("latin-1")
