"""A request as it came over the wire, and answers in the form each AWS protocol uses."""

import enum
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import WSGIEnvironment
from xml.sax.saxutils import escape

MAX_BODY_BYTES = 64 * 1024 * 1024


class Protocol(enum.Enum):
    QUERY = "query"
    EC2 = "ec2"
    JSON = "json"
    S3 = "s3"


PROTOCOL_BY_SERVICE = {
    "ec2": Protocol.EC2,
    "elasticfilesystem": Protocol.JSON,
    "iam": Protocol.QUERY,
    "kms": Protocol.JSON,
    "s3": Protocol.S3,
    "sqs": Protocol.JSON,
    "ssm": Protocol.JSON,
    "sts": Protocol.QUERY,
}


class Fault(enum.Enum):
    """Why the layer itself refuses a request; each protocol has its own code and status for it."""

    NO_CREDENTIALS = enum.auto()
    MALFORMED_SIGNATURE = enum.auto()
    UNKNOWN_KEY = enum.auto()
    WRONG_SIGNATURE = enum.auto()
    WRONG_PAYLOAD_HASH = enum.auto()
    OUT_OF_TIME = enum.auto()
    EXPIRED_SESSION = enum.auto()
    NOT_ALLOWED = enum.auto()
    INTERNAL = enum.auto()


_CODES: dict[Fault, dict[Protocol, tuple[str, int]]] = {
    Fault.NO_CREDENTIALS: {
        Protocol.QUERY: ("MissingAuthenticationToken", 403),
        Protocol.EC2: ("MissingAuthenticationToken", 403),
        Protocol.JSON: ("MissingAuthenticationTokenException", 400),
        Protocol.S3: ("AccessDenied", 403),
    },
    Fault.MALFORMED_SIGNATURE: {
        Protocol.QUERY: ("IncompleteSignature", 400),
        Protocol.EC2: ("IncompleteSignature", 400),
        Protocol.JSON: ("IncompleteSignatureException", 400),
        Protocol.S3: ("AuthorizationHeaderMalformed", 400),
    },
    Fault.UNKNOWN_KEY: {
        Protocol.QUERY: ("InvalidClientTokenId", 403),
        Protocol.EC2: ("AuthFailure", 401),
        Protocol.JSON: ("UnrecognizedClientException", 400),
        Protocol.S3: ("InvalidAccessKeyId", 403),
    },
    Fault.WRONG_SIGNATURE: {
        Protocol.QUERY: ("SignatureDoesNotMatch", 403),
        Protocol.EC2: ("AuthFailure", 401),
        Protocol.JSON: ("InvalidSignatureException", 400),
        Protocol.S3: ("SignatureDoesNotMatch", 403),
    },
    Fault.WRONG_PAYLOAD_HASH: {
        Protocol.QUERY: ("SignatureDoesNotMatch", 403),
        Protocol.EC2: ("AuthFailure", 401),
        Protocol.JSON: ("InvalidSignatureException", 400),
        Protocol.S3: ("XAmzContentSHA256Mismatch", 400),
    },
    Fault.OUT_OF_TIME: {
        Protocol.QUERY: ("SignatureDoesNotMatch", 403),
        Protocol.EC2: ("RequestExpired", 400),
        Protocol.JSON: ("InvalidSignatureException", 400),
        Protocol.S3: ("RequestTimeTooSkewed", 403),
    },
    Fault.EXPIRED_SESSION: {
        Protocol.QUERY: ("ExpiredToken", 403),
        Protocol.EC2: ("RequestExpired", 400),
        Protocol.JSON: ("ExpiredTokenException", 400),
        Protocol.S3: ("ExpiredToken", 400),
    },
    Fault.NOT_ALLOWED: {
        Protocol.QUERY: ("AccessDenied", 403),
        Protocol.EC2: ("UnauthorizedOperation", 403),
        Protocol.JSON: ("AccessDeniedException", 400),
        Protocol.S3: ("AccessDenied", 403),
    },
    Fault.INTERNAL: {
        Protocol.QUERY: ("InternalFailure", 500),
        Protocol.EC2: ("InternalError", 500),
        Protocol.JSON: ("InternalFailure", 500),
        Protocol.S3: ("InternalError", 500),
    },
}


class RefusedError(Exception):
    """The layer refuses the request; `fault` or, for a service's own error, `code` and `status` say how."""

    def __init__(
        self, message: str, *, fault: Fault | None = None, code: str = "", status: int = 400
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fault = fault
        self.code = code
        self.status = status

    def code_and_status(self, protocol: Protocol) -> tuple[str, int]:
        return _CODES[self.fault][protocol] if self.fault else (self.code, self.status)


@dataclass
class AwsRequest:
    """One request: path and query raw as sent, header names in lower case, the body whole."""

    method: str
    raw_path: str
    raw_query: str
    headers: dict[str, str]
    body: bytes


@dataclass
class AwsAnswer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)


def read_request(environ: WSGIEnvironment) -> AwsRequest:
    """Raises RefusedError when the body is larger than MAX_BODY_BYTES."""
    raw_path, _, raw_query = str(environ["RAW_URI"]).partition("?")
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = stream.read(MAX_BODY_BYTES + 1)
    else:
        length = int(headers.get("content-length", "0"))
        body = stream.read(length) if length <= MAX_BODY_BYTES else b""
        if length > MAX_BODY_BYTES:
            raise RefusedError("The request body is too large.", code="EntityTooLarge")
    if len(body) > MAX_BODY_BYTES:
        raise RefusedError("The request body is too large.", code="EntityTooLarge")
    return AwsRequest(environ["REQUEST_METHOD"], raw_path, raw_query, headers, body)


def guess_protocol(request: AwsRequest) -> Protocol:
    """The form to answer in when no valid credential scope says which service was meant."""
    if "x-amz-target" in request.headers:
        return Protocol.JSON
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return Protocol.QUERY if form or "Action=" in request.raw_query else Protocol.S3


def new_request_id() -> str:
    return str(uuid.uuid4())


def error_answer(
    protocol: Protocol, code: str, status: int, message: str, *, head: bool = False
) -> AwsAnswer:
    """An error as the protocol's clients parse it; `head` leaves the body out, as HTTP wants it for HEAD."""
    request_id = new_request_id()
    safe_message = escape(message)
    match protocol:
        case Protocol.JSON:
            body = json.dumps({"__type": code, "message": message})
            content_type = "application/x-amz-json-1.1"
        case Protocol.EC2:
            body = (
                '<?xml version="1.0" encoding="UTF-8"?><Response><Errors><Error>'
                f"<Code>{code}</Code><Message>{safe_message}</Message></Error></Errors>"
                f"<RequestID>{request_id}</RequestID></Response>"
            )
            content_type = "text/xml;charset=UTF-8"
        case Protocol.QUERY:
            body = (
                "<ErrorResponse><Error><Type>Sender</Type>"
                f"<Code>{code}</Code><Message>{safe_message}</Message></Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>"
            )
            content_type = "text/xml"
        case Protocol.S3:
            body = (
                '<?xml version="1.0" encoding="UTF-8"?><Error>'
                f"<Code>{code}</Code><Message>{safe_message}</Message>"
                f"<RequestId>{request_id}</RequestId></Error>"
            )
            content_type = "application/xml"
    headers = [("Content-Type", content_type), ("x-amzn-RequestId", request_id), ("x-amzn-ErrorType", code)]
    return AwsAnswer(status, headers, b"" if head else body.encode())


def refusal_answer(protocol: Protocol, refused: RefusedError, *, head: bool = False) -> AwsAnswer:
    code, status = refused.code_and_status(protocol)
    return error_answer(protocol, code, status, refused.message, head=head)


def json_answer(value: Mapping[str, Any], *, content_type: str = "application/x-amz-json-1.1") -> AwsAnswer:
    headers = [("Content-Type", content_type), ("x-amzn-RequestId", new_request_id())]
    return AwsAnswer(200, headers, json.dumps(value).encode())


def _xml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(part)}</{name}>" for name, part in value.items())
    return escape(str(value))


def query_answer(
    action: str, namespace: str, result: Mapping[str, Any], *, as_json: bool = False
) -> AwsAnswer:
    """A query-protocol answer, in XML or, for a client that accepts JSON, in the JSON form STS offers."""
    request_id = new_request_id()
    metadata = {"ResponseMetadata": {"RequestId": request_id}}
    if as_json:
        wrapped = {f"{action}Response": {f"{action}Result": result, **metadata}}
        return json_answer(wrapped, content_type="application/json")
    body = f'<{action}Response xmlns="{namespace}">{_xml({f"{action}Result": result, **metadata})}</{action}Response>'
    return AwsAnswer(200, [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)], body.encode())


def header_pairs(headers: Iterable[tuple[str, str]], *, without: frozenset[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in without]
