"""The token and userinfo endpoints (RFC 6749 4.1.3 and 5, RFC 6750, OpenID Connect Core 3.1.3 and 5.3)."""

import base64
import binascii
import hashlib
import hmac
import re
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local_cloud.issuer.cast import Person, by_sub
from local_cloud.issuer.clients import Client
from local_cloud.issuer.issuer import Issuer, issuer_of, person_claims
from local_cloud.issuer.keys import ID_TOKEN_LIFETIME_S
from local_cloud.issuer.parameters import Parameters, UnreadableFormError, read_form
from local_cloud.issuer.store import ACCESS_TOKEN_LIFETIME_S, Grant

# RFC 7636, 4.1.
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class TokenRefusedError(Exception):
    """An error answer of the token endpoint (RFC 6749, 5.2)."""

    def __init__(self, error: str, description: str, status_code: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status_code = status_code


async def exchange(request: Request) -> Response:
    """The token endpoint: a code becomes an ID token and an access token, once."""
    issuer = issuer_of(request)
    try:
        form = await read_form(request)
        client = _authenticate(request, form, issuer)
        answer = _redeem(form, client, issuer)
    except UnreadableFormError as error:
        return _error("invalid_request", str(error), 400)
    except TokenRefusedError as refused:
        return _error(refused.error, refused.description, refused.status_code)
    return JSONResponse(answer)


async def userinfo(request: Request) -> Response:
    """The claims of the person an access token was given for."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
    access = issuer_of(request).store.access(token.strip())
    person = by_sub(access.sub) if access else None
    if access is None or person is None:
        challenge = 'Bearer error="invalid_token", error_description="the access token is unknown, expired or revoked"'
        return Response(status_code=401, headers={"WWW-Authenticate": challenge})
    return JSONResponse(person_claims(person, scope=access.scope, organization=access.organization))


def _error(error: str, description: str, status_code: int) -> Response:
    headers = {"WWW-Authenticate": 'Basic realm="token"'} if status_code == 401 else {}
    return JSONResponse({"error": error, "error_description": description}, status_code, headers)


def _authenticate(request: Request, form: Parameters, issuer: Issuer) -> Client:
    """Client authentication by exactly one of Basic, body, or (public clients) none (RFC 6749, 2.3)."""
    if form.repeated:
        raise TokenRefusedError("invalid_request", "a parameter was sent more than once")
    unknown = TokenRefusedError("invalid_client", "the client is unknown or its secret is wrong", 401)
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if "authorization" in request.headers:
        if secret is not None:
            raise TokenRefusedError("invalid_request", "the client authenticates in two ways at once")
        credentials = _basic_credentials(request.headers["authorization"])
        if credentials is None or client_id not in (None, credentials[0]):
            raise unknown
        client_id, secret = credentials
    client = issuer.clients.get(client_id or "")
    if client is None:
        raise unknown
    if secret is None:
        if client.client_secret is not None:
            raise TokenRefusedError("invalid_client", "this client must authenticate with its secret", 401)
    elif not client.knows_secret(secret):
        raise unknown
    return client


def _basic_credentials(header: str) -> tuple[str, str] | None:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (unquote_plus(client_id), unquote_plus(secret)) if colon else None


def _redeem(form: Parameters, client: Client, issuer: Issuer) -> dict[str, object]:
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise TokenRefusedError("invalid_request", "grant_type is missing")
    if grant_type != "authorization_code":
        raise TokenRefusedError("unsupported_grant_type", "grant_type must be authorization_code")
    for name in ("code", "redirect_uri", "code_verifier"):
        if form.get(name) is None:
            raise TokenRefusedError("invalid_request", f"{name} is missing")
    code = form.get("code") or ""
    grant = issuer.store.grant(code)
    if grant is None or grant.client_id != client.client_id:
        raise TokenRefusedError(
            "invalid_grant", "the code is unknown, expired, used or given to another client"
        )
    if grant.redirect_uri != form.get("redirect_uri"):
        raise TokenRefusedError("invalid_grant", "redirect_uri is not the one the code was sent to")
    if not _verifies(form.get("code_verifier") or "", grant.code_challenge):
        raise TokenRefusedError("invalid_grant", "code_verifier does not match the code_challenge")
    person = by_sub(grant.sub)
    access_token = issuer.store.redeem(code, grant) if person else None
    if person is None or access_token is None:
        raise TokenRefusedError(
            "invalid_grant", "the code is unknown, expired, used or given to another client"
        )
    return {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": ACCESS_TOKEN_LIFETIME_S,
        "scope": grant.scope,
        "id_token": issuer.keys.sign(_id_claims(issuer, grant, person)),
    }


def _verifies(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)


def _id_claims(issuer: Issuer, grant: Grant, person: Person) -> dict[str, object]:
    now = issuer.store.now()
    return {
        "iss": issuer.url,
        "aud": grant.client_id,
        "iat": now,
        "exp": now + ID_TOKEN_LIFETIME_S,
        "auth_time": grant.auth_time,
        "sid": grant.sid,
        **({} if grant.nonce is None else {"nonce": grant.nonce}),
        **person_claims(person, scope=grant.scope, organization=grant.organization),
    }
