"""The WSGI application: verify, identify, decide, let moto answer, make durable, answer.

One lock orders all requests: moto's models are not safe for threads, and a snapshot must not see half a change.
Bodies are read and answers are sent outside of it.
"""

import contextlib
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from wsgiref.types import StartResponse, WSGIEnvironment

from local_cloud.aws import (
    asks,
    asks_s3,
    faults,
    file_systems,
    instances,
    keys,
    parameters,
    sigv4,
    sts,
    wire,
    world,
)
from local_cloud.aws.control import Control
from local_cloud.aws.control_client import PREFIX
from local_cloud.aws.ec2 import Ec2
from local_cloud.aws.faults import ConnectionCutError, Faults
from local_cloud.aws.identities import Identities, Identity
from local_cloud.aws.policies import Verdict
from local_cloud.aws.state import Snapshots
from local_cloud.aws.transitions import Delays
from local_cloud.aws.wire import AwsAnswer, AwsRequest, Fault, Protocol, RefusedError
from local_cloud.aws.world import Call

log = logging.getLogger("local_cloud.aws")


_SECTION = "layer"
_READING = re.compile(r"(?:Describe|Get|Head|List)[A-Z]\w*")
_KMS_READING = keys.CRYPTOGRAPHIC | {"GenerateRandom"}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_HOP_BY_HOP = frozenset({"connection", "content-length", "server", "date", "transfer-encoding"})


class Endpoint:
    """Create one per process: moto's models are the process's."""

    def __init__(self, identities: Identities, snapshots: Snapshots, delays: Delays) -> None:
        self._identities = identities
        self._snapshots = snapshots
        self._ec2 = Ec2(delays)
        self._faults = Faults()
        self._control = Control(identities, self._ec2, self._faults)
        self.lock = threading.RLock()

    def restore(self, state_directory: Path) -> None:
        """Take up the saved state.

        Raises:
            UnreadableStateError: a state file cannot be used.
            NoNetworkError: there is no network for the instances' addresses.
        """
        self._snapshots.restore_services()
        saved = self._snapshots.load(_SECTION)
        if saved is not None:
            self._identities.sessions = saved["sessions"]
            self._faults.waiting = saved.get("faults", [])
            # Before there was a section for EC2, its client tokens lay beside the sessions.
            self._ec2.restore(saved.get("ec2", saved))
        if self._ec2.open_network(state_directory):
            log.warning("another local cloud has our network: every instance has another address now")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        trace = _Trace(environ["REQUEST_METHOD"])
        if environ.get("PATH_INFO") == "/health" and trace.method in {"GET", "HEAD"}:
            answer = AwsAnswer(200, [("Content-Type", "text/plain")], b"ready\n")
        else:
            try:
                if not str(environ["PATH_INFO"]).startswith(PREFIX):
                    with self.lock:
                        self._faults.meet_connection(datetime.now(UTC))
                answer = self._answer(environ, trace)
            except ConnectionCutError:
                log.info(
                    "%s %s %s %s cut by a fault", trace.method, trace.service, trace.action, trace.identity
                )
                return _cut(environ, start_response)
            log.info(
                "%s %s %s %s %d", trace.method, trace.service, trace.action, trace.identity, answer.status
            )
        headers = wire.header_pairs(answer.headers, without=_HOP_BY_HOP)
        length = str(len(answer.body))
        if trace.method == "HEAD":
            length = next(
                (value for name, value in answer.headers if name.lower() == "content-length"), length
            )
        headers.append(("Content-Length", length))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [] if trace.method == "HEAD" else [answer.body]

    def _answer(self, environ: WSGIEnvironment, trace: "_Trace") -> AwsAnswer:
        protocol = Protocol.S3
        try:
            request = wire.read_request(environ)
            protocol = wire.guess_protocol(request)
            claim = sigv4.read_claim(request)
            protocol = wire.PROTOCOL_BY_SERVICE.get(claim.service, protocol)
            if claim.service in wire.PROTOCOL_BY_SERVICE:
                trace.service = claim.service
            with self.lock:
                answer = self._answer_claim(request, claim, trace)
        except RefusedError as refused:
            return wire.refusal_answer(protocol, refused, head=trace.method == "HEAD")
        except ConnectionCutError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever moto raises becomes an answer
            log.error("internal error: %s", _where(error))  # noqa: TRY400 - a traceback's message may hold a value
            failed = RefusedError("The local cloud failed on this request.", fault=Fault.INTERNAL)
            return wire.refusal_answer(protocol, failed, head=trace.method == "HEAD")
        while trace.held_by is not None and self._faults.holds(trace.held_by):
            time.sleep(0.05)
        return answer

    def _answer_claim(self, request: AwsRequest, claim: sigv4.Claim, trace: "_Trace") -> AwsAnswer:
        now = datetime.now(UTC)
        secret = self._identities.secret_of(claim.access_key_id, claim.session_token)
        payload = sigv4.verify(request, claim, secret, now)
        caller = self._identities.identify(claim.access_key_id, now)
        trace.identity = caller.arn
        if request.raw_path.startswith(PREFIX) and claim.service == "sts":
            trace.action = request.raw_path.removeprefix(PREFIX)
            return self._answer_control(request.raw_path, payload, caller, now)
        call = _read_call(_plain(request, claim, payload), claim)
        trace.action = call.action
        if call.service != "sts":
            self._require_allowed(call, caller)
        waiting = len(self._faults.waiting)
        try:
            after = self._faults.meet(call, now)
            boot_s = self._faults.boot_delay(call, now)
        finally:
            if waiting:
                self._save_layer()
        answer = self._answer_allowed(call, claim.access_key_id, caller, now, boot_s)
        if after is not None and after.kind == "lose_answer":
            raise ConnectionCutError
        trace.held_by = after
        return answer

    def _answer_control(self, path: str, payload: bytes, caller: Identity, now: datetime) -> AwsAnswer:
        answer, changed = self._control.answer(path, payload, caller, now)
        if changed:
            self._save_layer()
        if path.endswith("/act"):
            self._snapshots.save_service("ec2")
        return answer

    def _answer_allowed(
        self, call: Call, access_key_id: str, caller: Identity, now: datetime, boot_s: float
    ) -> AwsAnswer:
        states: dict[str, str] = {}
        if call.service == "sts":
            return self._answer_sts(call, caller, now)
        if call.service in {"kms", "ssm"}:
            _require_usable_keys(call)
        if call.service == "elasticfilesystem":
            own = file_systems.answer(call)
            if own is not None:
                return own
        if call.service == "ec2":
            self._ec2.settle(now)
            call = instances.completed(call)
            before = self._ec2.before(call)
            if isinstance(before, AwsAnswer):
                return before
            states = before
        try:
            answer = world.ask_moto(call, access_key_id)
            if call.service == "ec2":
                answer = self._ec2.after(call, answer, states, now, boot_s)
        finally:
            # Also after an error: what is remembered must be what is stored.
            self._save_changes(call)
        if call.service == "ssm" and call.action in parameters.READS_VALUES:
            return parameters.seal(call, answer, caller)
        return answer

    def _answer_sts(self, call: Call, caller: Identity, now: datetime) -> AwsAnswer:
        if call.action == "GetCallerIdentity":
            return sts.get_caller_identity(call, caller)
        if call.action == "AssumeRole":
            answer = sts.assume_role(call, caller, self._identities, now)
            self._save_layer()
            return answer
        raise RefusedError(
            "The local cloud offers AssumeRole and GetCallerIdentity of STS.", code="InvalidAction"
        )

    def _require_allowed(self, call: Call, caller: Identity) -> None:
        for ask in asks.asks_for(call, caller.context(call.region)):
            verdict = caller.verdict(ask)
            if verdict is not Verdict.ALLOWED:
                because = (
                    "with an explicit deny" if verdict is Verdict.DENIED else "because no policy allows it"
                )
                raise RefusedError(
                    f"User: {caller.arn} is not authorized to perform: {ask.action} on resource: {ask.resource} {because}",
                    fault=Fault.NOT_ALLOWED,
                )

    def _save_changes(self, call: Call) -> None:
        if call.service == "ssm" and self._snapshots.outgrown("kms"):
            self._snapshots.save_service("kms")
        reading = (
            call.request.method in {"GET", "HEAD"}
            if call.service == "s3"
            else _READING.fullmatch(call.action)
        )
        if call.service == "kms" and call.action in _KMS_READING:
            reading = True
        service = world.MOTO_NAMES.get(call.service, call.service)
        if not reading or self._snapshots.outgrown(service):
            self._snapshots.save_service(service)
            if service == "ec2":
                self._save_layer()

    def _save_layer(self) -> None:
        content = {
            "sessions": self._identities.sessions,
            "faults": self._faults.waiting,
            "ec2": self._ec2.saved(),
        }
        self._snapshots.save(_SECTION, content)


class _Trace:
    """What the log line of one request says; never a parameter."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.service = self.action = self.identity = "-"
        self.held_by: faults.Fault | None = None


def _cut(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """End the connection without an answer; what the server writes afterwards goes nowhere."""
    with contextlib.suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    start_response("503 Service Unavailable", [("Content-Length", "0"), ("Connection", "close")])
    return []


def _where(error: BaseException) -> str:
    """The error's type and place; its message may hold a value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown place"
    return f"{type(error).__name__} at {place}"


def _plain(request: AwsRequest, claim: sigv4.Claim, payload: bytes) -> AwsRequest:
    """The request with any chunk framing taken off, for moto and for whoever reads parameters."""
    if claim.service != "s3":
        return request
    if request.headers.get("content-type", "").startswith(_FORMS):
        # moto would take what such a body says for the query string, which was checked instead of it.
        request = replace(request, headers=request.headers | {"content-type": "application/octet-stream"})
    if not request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        return request
    encodings = [one.strip() for one in request.headers.get("content-encoding", "").split(",")]
    kept = ",".join(one for one in encodings if one and one != "aws-chunked")
    framing = {"content-encoding", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer"}
    headers = {name: value for name, value in request.headers.items() if name not in framing}
    return replace(request, headers=headers | ({"content-encoding": kept} if kept else {}), body=payload)


def _read_call(request: AwsRequest, claim: sigv4.Claim) -> Call:
    """Name the action and read the parameters, and leave moto no other way to understand the request."""
    match wire.PROTOCOL_BY_SERVICE.get(claim.service):
        case None:
            raise RefusedError(
                f"The local cloud does not offer the service {claim.service}.", code="UnknownService"
            )
        case Protocol.S3:
            return Call("s3", claim.region, asks_s3.action_of(request), {}, request)
        case Protocol.JSON if claim.service == "elasticfilesystem":
            return file_systems.read_call(request, claim)
        case Protocol.JSON:
            return _read_json_call(request, claim)
        case _:
            return _read_query_call(request, claim)


def _read_json_call(request: AwsRequest, claim: sigv4.Claim) -> Call:
    prefix, _, action = request.headers.get("x-amz-target", "").partition(".")
    if prefix != world.target_prefix(claim.service) or request.method != "POST" or request.raw_query:
        raise RefusedError(
            "X-Amz-Target names no operation of this service.", code="UnknownOperationException"
        )
    _require_action_name(action)
    try:
        params: Any = json.loads(request.body or b"{}")
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise RefusedError("The request body is not a JSON object.", code="SerializationException")
    # moto would take `&Action=...` inside a body for a parameter; an escaped ampersand is the same JSON.
    body = json.dumps(params).replace("&", "\\u0026").encode()
    version = "1.0" if claim.service == "sqs" else "1.1"
    headers = request.headers | {"content-type": f"application/x-amz-json-{version}"}
    return Call(claim.service, claim.region, action, params, replace(request, headers=headers, body=body))


def _read_query_call(request: AwsRequest, claim: sigv4.Claim) -> Call:
    in_query = [
        pair
        for pair in parse_qsl(request.raw_query, keep_blank_values=True)
        if not pair[0].startswith("X-Amz-")
    ]
    in_body = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
    pairs = in_query or in_body
    params = dict(pairs)
    if (in_query and in_body) or len(params) != len(pairs) or request.raw_path != "/":
        raise RefusedError("The request gives a parameter twice.", code="InvalidParameterCombination")
    action = params.get("Action", "")
    _require_action_name(action)
    headers = request.headers | {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    plain = replace(request, method="POST", headers=headers, body=urlencode(pairs).encode(), raw_query="")
    return Call(claim.service, claim.region, action, params, plain)


def _require_action_name(action: str) -> None:
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]{2,63}", action):
        raise RefusedError("The request names no action.", code="InvalidAction")


def _require_usable_keys(call: Call) -> None:
    if call.service == "ssm":
        parameters.require_storable(call)
    elif call.action in keys.CRYPTOGRAPHIC:
        named = call.params.get("KeyId")
        if call.action == "Decrypt":
            named = keys.key_id_of_ciphertext(call.params.get("CiphertextBlob"))
        for one in filter(None, (named, call.params.get("DestinationKeyId"))):
            keys.require_usable(keys.find(call.region, str(one)))
