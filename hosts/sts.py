"""AWS STS: whose signature is this? (H4)

The request is rebuilt here, whole, from a signature that a VM sent: `POST /` at the one configured endpoint, exactly
GetCallerIdentity. Nothing the VM sends chooses an address, a path, a body or a header's name.

Source: GetCallerIdentity in the AWS STS API reference; with `Accept: application/json` STS answers JSON.
"""

import http.client
import json
import re
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from envforge.errors import Unavailable
from envforge_protocol.host.joining import (
    AUDIENCE_HEADER,
    IDENTITY_BODY,
    IDENTITY_CONTENT_TYPE,
    NONCE_HEADER,
    SIGNED_HEADERS,
)

STEP_TIMEOUT_S = 3.0
WHOLE_TIMEOUT_S = 6.0
LONGEST_ANSWER = 16 * 1024
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>ASIA[A-Z0-9]{12,124})/(?P<date>[0-9]{8})/(?P<region>[a-z0-9-]{1,40})/sts/aws4_request, "
    r"SignedHeaders=(?P<signed>[a-z0-9;-]{1,300}), Signature=[0-9a-f]{64}"
)
_AMZ_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_TOKEN = re.compile(r"[A-Za-z0-9+/=_-]{16,8192}")


@dataclass(frozen=True, slots=True, repr=False)
class Signature:
    """What a VM signed with: the values of the headers that vary."""

    nonce: str
    audience: str
    amz_date: str
    authorization: str
    security_token: str


@dataclass(frozen=True, slots=True)
class CallerIdentity:
    """Who signed, as STS says: the account's number, the principal's unique id, and its ARN."""

    account: str
    user_id: str
    arn: str


def problem(signature: Signature) -> str | None:
    """The word for what is wrong with a signature's form; None where it may be sent on.

    Every value has a narrow form of its own, so that none can carry a line break or a second header; exactly the
    headers of `SIGNED_HEADERS` are signed, nonce and audience among them; the scope is STS in our region, by a
    temporary key.
    """
    parts = _AUTHORIZATION.fullmatch(signature.authorization)
    if parts is None:
        return "authorization_form"
    if not _AMZ_DATE.fullmatch(signature.amz_date) or not _TOKEN.fullmatch(signature.security_token):
        return "header_form"
    if parts["signed"] != ";".join(sorted(SIGNED_HEADERS)):
        return "signed_headers"
    if parts["region"] != settings.AWS_REGION or parts["date"] != signature.amz_date[:8]:
        return "scope"
    return None


def who_signed(signature: Signature) -> CallerIdentity | None:
    """Ask STS, outside of any transaction; None where it does not take the signature.

    Raises:
        Unavailable: STS did not answer in time, or not in a form that can be believed.
    """
    status, body = _ask(signature)
    if status in {400, 403}:
        return None
    if status != http.HTTPStatus.OK:
        # Redirects too: the answer of another place would be another's word.
        raise Unavailable(f"STS answered {status}.")
    return _read(body)


def _ask(signature: Signature) -> tuple[int, bytes]:
    endpoint = urlsplit(settings.STS_URL)
    host = endpoint.hostname or ""
    connection: http.client.HTTPConnection
    if endpoint.scheme == "https":
        connection = http.client.HTTPSConnection(
            host, endpoint.port, timeout=STEP_TIMEOUT_S, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(host, endpoint.port, timeout=STEP_TIMEOUT_S)
    headers = {
        "Host": endpoint.netloc,
        "Accept": "application/json",
        "Connection": "close",
        "Content-Type": IDENTITY_CONTENT_TYPE,
        "X-Amz-Date": signature.amz_date,
        "X-Amz-Security-Token": signature.security_token,
        AUDIENCE_HEADER: signature.audience,
        NONCE_HEADER: signature.nonce,
        "Authorization": signature.authorization,
    }
    until = time.monotonic() + WHOLE_TIMEOUT_S
    try:
        connection.request("POST", "/", IDENTITY_BODY, headers)
        answer = connection.getresponse()
        body = b""
        while part := answer.read1(LONGEST_ANSWER):
            body += part
            if len(body) > LONGEST_ANSWER or time.monotonic() > until:
                raise Unavailable("STS answered too much or too slowly.")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unavailable(f"STS did not answer: {type(error).__name__}") from None
    finally:
        connection.close()
    return answer.status, body


def _read(body: bytes) -> CallerIdentity:
    try:
        document = json.loads(body, object_pairs_hook=_each_once)
        found = document["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
        account, user_id, arn = (found[name] for name in ("Account", "UserId", "Arn"))
    except (ValueError, KeyError, TypeError):
        raise Unavailable("STS answered in another form.") from None
    if not all(isinstance(one, str) for one in (account, user_id, arn)):
        raise Unavailable("STS answered in another form.")
    return CallerIdentity(account, user_id, arn)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
