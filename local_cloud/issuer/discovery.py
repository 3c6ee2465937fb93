"""What a client can learn without a person: metadata, keys, health; and the one local act, key rotation."""

import ipaddress

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local_cloud.issuer.authorization import PROMPTS, SCOPES
from local_cloud.issuer.issuer import issuer_of
from local_cloud.issuer.keys import ALGORITHM

_PUBLIC = {"Cache-Control": "public, max-age=15"}


async def metadata(request: Request) -> Response:
    """OpenID Connect Discovery 1.0, 3."""
    issuer = issuer_of(request)
    return JSONResponse(
        {
            "issuer": issuer.url,
            "authorization_endpoint": issuer.address("/authorize"),
            "token_endpoint": issuer.address("/oauth/token"),
            "userinfo_endpoint": issuer.address("/userinfo"),
            "jwks_uri": issuer.address("/.well-known/jwks.json"),
            "end_session_endpoint": issuer.address("/oidc/logout"),
            "scopes_supported": SCOPES,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "code_challenge_methods_supported": ["S256"],
            "prompt_values_supported": PROMPTS,
            "claims_supported": [
                *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "sid"),
                *("name", "nickname", "email", "email_verified", "org_id", "org_name"),
            ],
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "claims_parameter_supported": False,
        },
        headers=_PUBLIC,
    )


async def key_set(request: Request) -> Response:
    return JSONResponse(issuer_of(request).keys.published(), headers=_PUBLIC)


async def health(request: Request) -> Response:
    issuer_of(request).store.db.execute("SELECT 1 FROM keys").fetchone()
    return JSONResponse({"status": "ok"})


async def rotate_key(request: Request) -> Response:
    """Sign with the next key from now on. For programs on this machine: a page in a browser always sends Origin."""
    if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
        return JSONResponse({"error": "only this machine may rotate the key"}, 403)
    if "origin" in request.headers or request.headers.get("sec-fetch-site", "none") != "none":
        return JSONResponse({"error": "not from a browser page"}, 403)
    return JSONResponse({"kid": issuer_of(request).keys.rotate()})
