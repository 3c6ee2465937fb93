"""AWS Signature Version 4, the server's side.

Sources: "Create a signed AWS API request" and "Authenticating Requests (AWS Signature Version 4)" in AWS's IAM and
S3 documentation. Both forms are verified: the Authorization header and the presigned query string. S3 bodies may be
signed whole, unsigned, or in signed chunks (aws-chunked).
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, quote_from_bytes, unquote_plus, unquote_to_bytes

from local_cloud.aws import chunks
from local_cloud.aws.wire import AwsRequest, Fault, RefusedError

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = timedelta(minutes=15)
MAX_PRESIGNED_S = 7 * 24 * 3600
UNSIGNED = "UNSIGNED-PAYLOAD"
_HEADER_FORM = re.compile(
    ALGORITHM + r"\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-f]{64})\s*"
)


@dataclass(frozen=True)
class Claim:
    """What a request says about its own signature; nothing of it is believed before `verify`."""

    access_key_id: str
    scope: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    signed_at: datetime
    expires_s: int | None
    session_token: str | None

    @property
    def presigned(self) -> bool:
        return self.expires_s is not None


def read_claim(request: AwsRequest) -> Claim:
    """Raises RefusedError: no signature, or one that cannot be read."""
    query = dict(_query_pairs(request.raw_query))
    if "authorization" in request.headers:
        if "X-Amz-Signature" in query:
            raise _malformed(
                "Only one form of signature may be given: the Authorization header or the query string."
            )
        return _header_claim(request)
    if "X-Amz-Signature" in query or "X-Amz-Algorithm" in query:
        return _presigned_claim(query)
    raise RefusedError("Request is missing Authentication Token", fault=Fault.NO_CREDENTIALS)


def verify(request: AwsRequest, claim: Claim, secret_access_key: str, now: datetime) -> bytes:
    """Check time, signed headers, signature and payload; return the body with any chunk framing removed.

    Raises RefusedError: with the fault that AWS would name.
    """
    _check_time(claim, now)
    _check_signed_headers(request, claim)
    payload_hash = _payload_hash(request, claim)
    key = signing_key(secret_access_key, claim.date, claim.region, claim.service)
    timestamp = claim.signed_at.strftime("%Y%m%dT%H%M%SZ")
    canonical = _canonical_request(request, claim, payload_hash)
    to_sign = "\n".join((ALGORITHM, timestamp, claim.scope, hashlib.sha256(canonical.encode()).hexdigest()))
    expected = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, claim.signature):
        raise RefusedError(
            "The request signature we calculated does not match the signature you provided.",
            fault=Fault.WRONG_SIGNATURE,
        )
    if payload_hash.startswith("STREAMING-"):
        signer = chunks.ChunkSigner(key, timestamp, claim.scope, claim.signature)
        return chunks.decode(request.body, payload_hash, signer, request.headers.get("x-amz-trailer", ""))
    if payload_hash != UNSIGNED and not hmac.compare_digest(
        payload_hash, hashlib.sha256(request.body).hexdigest()
    ):
        raise RefusedError(
            "The provided x-amz-content-sha256 is not that of the body.", fault=Fault.WRONG_PAYLOAD_HASH
        )
    return request.body


def signing_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret_access_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _malformed(message: str) -> RefusedError:
    return RefusedError(message, fault=Fault.MALFORMED_SIGNATURE)


def _query_pairs(raw_query: str) -> list[tuple[str, str]]:
    pairs = (item.partition("=") for item in raw_query.split("&") if item)
    return [(unquote_plus(name), unquote_plus(value)) for name, _, value in pairs]


def _header_claim(request: AwsRequest) -> Claim:
    match = _HEADER_FORM.fullmatch(request.headers["authorization"])
    if not match:
        raise _malformed("The Authorization header is not of the form AWS Signature Version 4 wants.")
    credential, signed_headers, signature = match.groups()
    timestamp = request.headers.get("x-amz-date")
    if timestamp is None:
        raise _malformed("The request must carry an X-Amz-Date header.")
    token = request.headers.get("x-amz-security-token")
    return _claim(credential, signed_headers, signature, timestamp, None, token)


def _presigned_claim(query: dict[str, str]) -> Claim:
    names = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date", "X-Amz-Expires")
    missing = [name for name in names if name not in query]
    if missing or query.get("X-Amz-Algorithm") != ALGORITHM:
        raise _malformed(f"The query string lacks a valid {(missing or ['X-Amz-Algorithm'])[0]}.")
    credential, signed_headers, signature, timestamp, expires = (query[name] for name in names)
    if not (expires.isascii() and expires.isdigit() and 1 <= int(expires) <= MAX_PRESIGNED_S):
        raise _malformed(f"X-Amz-Expires must be a number of seconds between 1 and {MAX_PRESIGNED_S}.")
    return _claim(
        credential, signed_headers, signature, timestamp, int(expires), query.get("X-Amz-Security-Token")
    )


def _claim(
    credential: str,
    signed_headers: str,
    signature: str,
    timestamp: str,
    expires_s: int | None,
    token: str | None,
) -> Claim:
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or not all(parts):
        raise _malformed("Credential must be KEY/DATE/REGION/SERVICE/aws4_request.")
    key_id, date, region, service, _ = parts
    if not re.fullmatch(r"[a-z0-9-]{2,32}", region) or not re.fullmatch(r"[a-z0-9-]{2,32}", service):
        raise _malformed("The credential scope names no region and service.")
    try:
        signed_at = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise _malformed("X-Amz-Date must be of the form YYYYMMDD'T'HHMMSS'Z'.") from None
    if date != timestamp[:8]:
        raise _malformed("The date in the credential scope is not that of X-Amz-Date.")
    headers = tuple(signed_headers.lower().split(";"))
    scope = "/".join(parts[1:])
    return Claim(key_id, scope, date, region, service, headers, signature, signed_at, expires_s, token)


def _check_time(claim: Claim, now: datetime) -> None:
    latest = claim.signed_at + (
        timedelta(seconds=claim.expires_s) if claim.expires_s is not None else MAX_SKEW
    )
    if claim.signed_at - MAX_SKEW <= now <= latest:
        return
    if claim.presigned and claim.service == "s3":
        raise RefusedError("Request has expired", code="AccessDenied", status=403)
    raise RefusedError(
        f"Signature expired or not yet valid: signed at {claim.signed_at:%Y%m%dT%H%M%SZ}, now {now:%Y%m%dT%H%M%SZ}.",
        fault=Fault.OUT_OF_TIME,
    )


def _check_signed_headers(request: AwsRequest, claim: Claim) -> None:
    needed = {"host"} | {name for name in request.headers if name.startswith("x-amz-")}
    unsigned = needed.difference(claim.signed_headers)
    absent = [name for name in claim.signed_headers if name not in request.headers]
    if unsigned or absent:
        raise RefusedError(
            f"These headers must be present and signed: {', '.join(sorted([*unsigned, *absent]))}.",
            fault=Fault.WRONG_SIGNATURE,
        )


def _payload_hash(request: AwsRequest, claim: Claim) -> str:
    given = request.headers.get("x-amz-content-sha256")
    if claim.service == "s3":
        if claim.presigned:
            return given or UNSIGNED
        if given is None:
            raise RefusedError(
                "Missing required header for this request: x-amz-content-sha256", code="InvalidRequest"
            )
        return given
    actual = hashlib.sha256(request.body).hexdigest()
    if given is not None and given != actual:
        raise RefusedError(
            "The provided x-amz-content-sha256 is not that of the body.", fault=Fault.WRONG_PAYLOAD_HASH
        )
    return actual


def _canonical_request(request: AwsRequest, claim: Claim, payload_hash: str) -> str:
    if claim.service == "s3":
        path = quote_from_bytes(unquote_to_bytes(request.raw_path), safe="/~")
    else:
        path = quote(request.raw_path, safe="/~")
    pairs = sorted(
        (quote(name, safe="~"), quote(value, safe="~"))
        for name, value in _query_pairs(request.raw_query)
        if name != "X-Amz-Signature"
    )
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in claim.signed_headers)
    return "\n".join(
        (
            request.method,
            path or "/",
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            ";".join(claim.signed_headers),
            payload_hash,
        )
    )
