"""The identity provider: Auth0, or whichever issuer speaks OpenID Connect (OpenID Connect Core 1.0, RFC 7636, RFC 9207).

The only importer of the client library. Nothing that it receives is kept: from the tokens come a few verified claims,
and the tokens are forgotten.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import DjangoIntegration, DjangoOAuth2App
from django.conf import settings
from joserfc.errors import JoseError
from requests import RequestException

from envforge.errors import Unavailable
from orgs.identity import Identity, SignInRefused, readable_name

# Metadata and keys are read anew after this; an unknown key id is looked up at once, so rotation stops nobody.
KEEP_S = 600
TIMEOUT_S = 5
CLOCK_SKEW_S = 60
# By a key pair, never by the client's secret and never unsigned, whatever the issuer's metadata offers.
ALGORITHMS = ["RS256", "PS256", "ES256"]
MAX_SUBJECT_LENGTH = 255
MAX_EMAIL_LENGTH = 254

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where to send the browser, and what must come back or be proved when it returns."""

    address: str
    state: str
    nonce: str
    verifier: str


def start(*, redirect_uri: str, organization: str = "", login_hint: str = "") -> Start:
    """Begin a sign-in at the issuer; `organization` is Auth0's own parameter and passed through.

    Raises:
        Unavailable: the issuer does not answer, or not as itself.
    """
    wishes = {"organization": organization, "login_hint": login_hint}
    client = _client()
    made = _asking(
        client.create_authorization_url, redirect_uri, **{name: wish for name, wish in wishes.items() if wish}
    )
    return Start(
        address=made["url"], state=made["state"], nonce=made["nonce"], verifier=made["code_verifier"]
    )


def finish(*, code: str, redirect_uri: str, nonce: str, verifier: str, organization: str = "") -> Identity:
    """Exchange the code, verify the ID token (signature, iss, aud, exp, nonce; org_id where one was asked for).

    Raises:
        SignInRefused: the issuer does not take the code, or its token does not hold.
        Unavailable: the issuer does not answer, or does not know this client.
    """
    client = _client()
    try:
        token = _asking(
            client.fetch_access_token, redirect_uri=redirect_uri, code=code, code_verifier=verifier
        )
    except OAuthError as refused:
        log.warning("auth0.code_refused", error=refused.error)
        if refused.error in {"invalid_client", "unauthorized_client"}:
            raise Unavailable("The sign-in service does not know this console.") from None
        raise SignInRefused("code_refused") from None
    rules = {
        "iss": {"essential": True, "value": settings.AUTH0_ISSUER},
        "aud": {"essential": True, "value": settings.AUTH0_CLIENT_ID},
        "exp": {"essential": True},
        "iat": {"essential": True},
        "sub": {"essential": True},
    }
    try:
        claims = _asking(client.parse_id_token, token, nonce=nonce, claims_options=rules, leeway=CLOCK_SKEW_S)
    except (JoseError, ValueError) as wrong:
        log.warning("auth0.token_refused", error=type(wrong).__name__)
        raise SignInRefused("token_invalid") from None
    if not claims:
        raise SignInRefused("token_invalid")
    if organization and organization not in {claims.get("org_id"), claims.get("org_name")}:
        raise SignInRefused("organization_mismatch")
    return _identity(claims)


def sign_out_address(back_to: str) -> str | None:
    """Where the browser ends the issuer's own session (RP-Initiated Logout); None where the issuer has no such place.

    With the client's id alone: so no token has to be kept for it.

    Raises:
        Unavailable: as `start`.
    """
    endpoint = _client().server_metadata.get("end_session_endpoint")
    if not endpoint:
        return None
    wishes = urlencode({"client_id": settings.AUTH0_CLIENT_ID, "post_logout_redirect_uri": back_to})
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{wishes}"


def _identity(claims: dict[str, Any]) -> Identity:
    subject, email = claims["sub"], claims.get("email") or ""
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT_LENGTH:
        raise SignInRefused("token_invalid")
    if not isinstance(email, str) or len(email) > MAX_EMAIL_LENGTH:
        email = ""
    return Identity(
        issuer=settings.AUTH0_ISSUER,
        subject=subject,
        email=email,
        # Some issuers send the word "true"; only the value true counts.
        email_verified=bool(email) and claims.get("email_verified") is True,
        name=readable_name(claims.get("name"), claims.get("nickname"), email.partition("@")[0]),
    )


def _client() -> DjangoOAuth2App:
    period = int(time.monotonic() // KEEP_S)
    client = _made(settings.AUTH0_ISSUER, settings.AUTH0_CLIENT_ID, settings.AUTH0_CLIENT_SECRET, period)
    metadata = _asking(client.load_server_metadata)
    if metadata.get("issuer") != settings.AUTH0_ISSUER:
        _made.cache_clear()
        log.error("auth0.another_issuer", expected=settings.AUTH0_ISSUER)
        raise Unavailable("The sign-in service does not answer as itself.")
    metadata["id_token_signing_alg_values_supported"] = ALGORITHMS
    return client


@lru_cache(maxsize=1)
def _made(issuer: str, client_id: str, client_secret: str, _period: int) -> DjangoOAuth2App:
    return DjangoOAuth2App(
        DjangoIntegration("auth0"),
        client_id=client_id,
        client_secret=client_secret,
        server_metadata_url=f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid profile email",
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": "client_secret_post",
            "default_timeout": TIMEOUT_S,
        },
    )


def _asking(ask: Any, *arguments: Any, **named: Any) -> Any:
    """Ask the issuer; whatever keeps it from answering is `Unavailable`."""
    try:
        return ask(*arguments, **named)
    except (RequestException, RuntimeError) as error:
        log.warning("auth0.unavailable", reason=type(error).__name__)
        raise Unavailable("The sign-in service does not answer.") from None
